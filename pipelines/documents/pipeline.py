"""Many documents into a collection; killed at any moment and run again, it ends exact.

What is there already is found by its hash and costs a look at the file system. The rest goes through two stages:
groups of files leave their chunks in Parquet files of the run; slices of those, over documents, are embedded and
stored. A document is published, and its old version leaves, when all of its chunks are stored. Ids are hashes,
so doing anything twice changes nothing.
"""

import shutil
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import Any

from cluster.batched import by_size
from cluster.documents import Document
from cluster.errors import HeliostatError, Unavailable
from cluster.stores.document_states import State
from cluster.stores.ledger import Record
from pipelines.documents.job_progress import Failure, JobProgress
from pipelines.documents.journal import Journal
from pipelines.documents.labels import Labels
from pipelines.documents.owner import Vectors
from pipelines.documents.pool import Pool
from pipelines.documents.run_folders import ABANDONED_S, ALIVE_EVERY_S, FORGET_S, at_work, forget_runs, show_alive
from pipelines.documents.scan import Scanned, scan
from pipelines.documents.selection import Selected
from pipelines.documents.stages import Embed, FileRow, Place, ReadAndCut

GROUP_FILES = 32  # read as one piece of work
GROUP_BYTES = 4 * 1024**2
FIRST_BYTES = 64 * 1024  # of the first groups: about a slice of text each, so that embedding begins soon
FIRST_GROUPS = 16
NOTHING_YET: dict[str, Any] = {
    "state": State.QUEUED,
    "chunker": "",
    "embedder": "",
    "chunks": 0,
    "pages": 0,
    "code": "",
    "message": "",
    "hint": "",
}
Watch = Callable[[JobProgress], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Means:
    """What a run works with. near runs a little at once, far runs much. records: what is known to be published."""

    near: Pool
    far: Pool
    vectors: Vectors
    records: Mapping[str, Record] = field(default_factory=dict)


@dataclass(slots=True, kw_only=True)
class _Open:
    """A document on its way. left: chunks not stored yet."""

    row: FileRow
    sources: list[str] = field(default_factory=list)
    left: int = 0
    failed: bool = False


class Ingest:
    """One run. watch is told of every step; clock gives Unix seconds."""

    def __init__(
        self,
        place: Place,
        means: Means,
        journal: Journal,
        watch: Watch,
        *,
        job_id: str,
        labels: Labels | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._place = place
        self._means = means
        self._journal = journal
        self._watch = watch
        self._labels = labels or Labels()
        self._clock = clock
        self._progress = JobProgress(job_id=job_id, state="running")
        self._open: dict[str, _Open] = {}
        self._otherwise: list[Scanned] = []  # to be read by their own names
        self._alive = 0.0

    def run(self, files: Sequence[Selected]) -> JobProgress:
        """Ingest the files and return the last progress: what is stored, unchanged, failed and why.

        Raises Unavailable where no worker fits or the vector store stays away.
        """
        folder = Path(self._place.folder)
        forget_runs(folder.parent, older_than=self._clock() - FORGET_S)
        try:
            self._tell(files_total=len(files))
            self._read_and_embed(self._new(self._scanned(files)))
        except BaseException as error:
            self._journal.write()
            reason = error.message if isinstance(error, HeliostatError) else type(error).__name__
            self._tell(state="failed", reason=reason)
            raise
        self._journal.write()
        shutil.rmtree(folder, ignore_errors=True)
        if self._progress.documents:
            before = self._clock() - ABANDONED_S
            with suppress(Unavailable):  # all is stored; the next run does it
                self._means.vectors.reclaim(before=before, spared=at_work(folder.parent, since=before))
        self._tell(state="done")
        return self._progress

    def _scanned(self, files: Sequence[Selected]) -> list[Scanned]:
        limit = self._place.settings.documents.max_file_bytes
        return scan(files, self._journal.known, max_bytes=limit, clock=self._clock)

    def _new(self, scanned: Sequence[Scanned]) -> list[Scanned]:
        """Those whose bytes are not published; the others are given their name, where they do not have it."""
        asked = [each for each in scanned if not self._is_published(each)]
        # What failed with the same bytes was never stored.
        ids = {each.document_id: None for each in asked if each.document_id and not self._failed_before(each)}
        held = self._means.vectors.held(list(ids), chunker=self._place.chunker) if ids else {}
        new = [each for each in asked if each.document_id not in held]
        renamed = [each for each in asked if each.document_id in held]
        self._publish([(held[each.document_id], each.file.source) for each in renamed])
        for each in new:
            self._journal.note(each.file.source, **_facts(each), **NOTHING_YET)
        for each in renamed:
            self._note_stored(each.file.source, held[each.document_id], **_facts(each))
        asked_for = {each.file.source for each in asked}
        for each in scanned:
            if each.file.source not in asked_for:
                known = self._means.records[each.document_id].document
                self._note_stored(each.file.source, known, **_facts(each))
        unchanged = len(scanned) - len(new)
        self._tell(files_done=unchanged, unchanged=unchanged)
        return new

    def _is_published(self, scanned: Scanned) -> bool:
        record = self._means.records.get(scanned.document_id)
        return (
            record is not None
            and record.chunker == self._place.chunker
            and scanned.file.source in record.sources
            and self._labels.said_of(record.document)
        )

    def _failed_before(self, scanned: Scanned) -> bool:
        before = self._journal.known.get(scanned.file.source)
        return before is not None and (before.state, before.document_id) == (State.FAILED, scanned.document_id)

    def _read_and_embed(self, new: Sequence[Scanned]) -> None:
        """Through the near pool where it is little; what is too large to be sent goes through the far one."""
        while new:
            twins: dict[str, list[Scanned]] = defaultdict(list)
            for each in new:
                twins[each.document_id or each.file.source].append(each)
            first = [some[0] for some in twins.values()]
            self._otherwise = []
            little = sum(each.size for each in first) <= self._place.settings.documents.served_bytes
            left = self._through(self._means.near, first, twins) if little else first
            if left:
                self._through(self._means.far, left, twins)
            new = self._otherwise

    def _through(
        self, pool: Pool, files: Sequence[Scanned], twins: Mapping[str, Sequence[Scanned]]
    ) -> list[Scanned]:
        """Both stages, side by side where the pool asks for work as it goes.

        Returns the files that are too large for this pool.
        """
        by_source = {each.file.source: twins[each.document_id or each.file.source] for each in files}
        large: list[Scanned] = []

        def slices() -> Iterator[dict[str, Any]]:
            for answer in pool.run(ReadAndCut, self._groups(files)):
                for row in (FileRow(**fields) for fields in answer["rows"]):
                    if row.status == "large":
                        large.append(by_source[row.source][0])
                    else:
                        self._cut(row, by_source[row.source])
                self._tell()
                yield from map(self._started, answer["slices"])

        for answer in pool.run(Embed, slices()):
            self._stored(answer)
        return large

    def _groups(self, files: Sequence[Scanned]) -> Iterator[dict[str, Any]]:
        first = list(islice(by_size(files, _size, most=FIRST_BYTES, count=GROUP_FILES), FIRST_GROUPS))
        rest = files[sum(map(len, first)) :]
        yield from map(self._group, first)
        yield from map(self._group, by_size(rest, _size, most=GROUP_BYTES, count=GROUP_FILES))

    def _group(self, files: Sequence[Scanned]) -> dict[str, Any]:
        for each in files:
            self._journal.note(each.file.source, state=State.READING)
        return {"files": [{"path": each.file.path, "source": each.file.source} for each in files]}

    def _cut(self, row: FileRow, twins: Sequence[Scanned]) -> None:
        """A file was read, the first of its twins: those, the same bytes by other names, share what becomes of it.

        By a name of another kind they may be read where this one could not.
        """
        shared = [each for each in twins if row.status == "cut" or _kind(each.file.source) == _kind(row.source)]
        self._otherwise += [each for each in twins if each not in shared]
        sources = [each.file.source for each in shared]
        if row.status == "failed":
            for source in sources:
                self._fail(source, row.code, row.message.replace(row.source, source, 1), row.hint)
        else:
            named = sources
            if twins[0].document_id not in {"", row.document_id}:
                for source in sources[1:]:
                    self._fail(source, "changed", f"{source}: it changed while it was read", "run it again")
                self._journal.note(row.source, document_id=row.document_id, stamp="")
                named = [row.source]
            known = self._open.setdefault(row.document_id, _Open(row=row))
            known.sources += named
            known.left += row.chunks
            self._progress = replace(self._progress, chunks_total=self._progress.chunks_total + row.chunks)
        self._progress = replace(self._progress, files_done=self._progress.files_done + len(sources))

    def _started(self, work: dict[str, Any]) -> dict[str, Any]:
        for document_id in work["documents"]:
            for source in self._open[document_id].sources:
                self._journal.note(source, state=State.EMBEDDING)
        return work

    def _stored(self, answer: dict[str, Any]) -> None:
        """A slice is done; a document is published with its last one."""
        done: list[_Open] = []
        for document_id, count in answer["documents"].items():
            document = self._open[document_id]
            document.left -= count
            failure = answer["failed"].get(document_id)
            if failure is None:
                self._progress = replace(self._progress, chunks_done=self._progress.chunks_done + count)
            elif not document.failed:
                document.failed = True
                for source in document.sources:
                    self._fail(source, failure["code"], f"{source}: {failure['message']}", failure["hint"])
            if document.left == 0:
                del self._open[document_id]
                if not document.failed:
                    done.append(document)
        self._finish(done, str(answer["embedder"]))
        self._tell(embedded=self._progress.embedded + int(answer["embedded"]))

    def _finish(self, done: Sequence[_Open], embedder: str) -> None:
        """Publish documents whose chunks are all stored."""
        named = [(self._document(each.row), source) for each in done for source in each.sources]
        try:
            self._publish(named)
        except Unavailable:
            raise
        except HeliostatError as error:
            named = self._one_by_one(named, error)
        for document, source in named:
            self._note_stored(source, document, embedder=embedder)
        ids = tuple(document.id for document, _ in named)
        self._progress = replace(self._progress, documents=(*self._progress.documents, *ids))

    def _one_by_one(
        self, named: Sequence[tuple[Document, str]], error: HeliostatError
    ) -> list[tuple[Document, str]]:
        """Publish each by itself, so that one whose chunks somebody deletes meanwhile fails alone; which could be.

        error: of all of them together.
        """
        published = []
        for each in named:
            try:
                if len(named) == 1:
                    raise error
                self._publish([each])
                published.append(each)
            except Unavailable:
                raise
            except HeliostatError as own:
                self._fail(each[1], own.code, own.message, own.hint or "")
        return published

    def _document(self, row: FileRow) -> Document:
        return Document(
            id=row.document_id,
            source=row.source,
            media_type=row.media_type,
            chunks=row.chunks,
            pages=row.pages or None,
            characters=row.characters,
            created=int(self._clock()),
        )

    def _publish(self, named: Sequence[tuple[Document, str]]) -> None:
        """Make documents visible, each under its name and with what is said of this run's."""
        documents = [
            replace(
                document,
                source=source,
                tags=tuple(dict.fromkeys((*document.tags, *self._labels.tags))),
                metadata={**document.metadata, **self._labels.metadata},
            )
            for document, source in named
        ]
        if documents:
            self._means.vectors.publish(documents, chunker=self._place.chunker)

    def _note_stored(self, source: str, document: Document, **fields: Any) -> None:
        figures = {"stored_id": document.id, "chunks": document.chunks, "pages": document.pages or 0}
        told = {"state": State.STORED, "chunker": self._place.chunker, "code": "", "message": "", "hint": ""}
        self._journal.note(source, **{**told, **figures, **fields})

    def _fail(self, source: str, code: str, message: str, hint: str) -> None:
        failure = Failure(source=source, code=code, message=message, hint=hint or None)
        self._progress = replace(self._progress, failed=(*self._progress.failed, failure))
        self._journal.note(source, state=State.FAILED, code=code, message=message, hint=hint)

    def _tell(self, **changes: Any) -> None:
        now = self._clock()
        self._progress = replace(self._progress, updated=now, **changes)
        if now - self._alive > ALIVE_EVERY_S:
            self._alive = now
            show_alive(Path(self._place.folder))
        self._watch(self._progress)


def _kind(source: str) -> str:
    return PurePosixPath(source).suffix.lower()


def _size(scanned: Scanned) -> int:
    return scanned.size


def _facts(scanned: Scanned) -> dict[str, str]:
    return {"path": scanned.file.path, "stamp": scanned.stamp, "document_id": scanned.document_id}
