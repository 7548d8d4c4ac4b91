"""Many documents: read and cut, then embed and store; killed at any moment and run again, it ends exact.

The first stage leaves each document's chunks in a Parquet file of the run; the second embeds, slice by
slice, the chunks that are not stored yet. A document is published, and its old version leaves, when all of
its slices are stored. Ids are hashes, so doing anything twice changes nothing.
"""

import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

from cluster.errors import HeliostatError
from cluster.types import Document
from pipelines.documents.job_progress import Failure, JobProgress
from pipelines.documents.owner import Vectors
from pipelines.documents.selection import Selected
from pipelines.documents.stages import EMBED_AT_ONCE, Embed, FileRow, Place, ReadAndCut

FORGET_RUNS_S = 24 * 3600  # chunk files of a killed run are kept a day for whoever looks into it
Watch = Callable[[JobProgress], None]


class Pool(Protocol):
    """Whatever runs a stage over rows: Ray Data's actor pool, or a loop in a test."""

    def run(self, stage: type[ReadAndCut | Embed], rows: Sequence[dict[str, Any]]) -> Iterator[dict[str, Any]]:
        """The stage's rows as they are done, in no order."""
        ...


@dataclass(slots=True, kw_only=True)
class _Open:
    """A document on its way. left: slices not stored yet."""

    row: FileRow
    left: int
    failed: bool = False


class Ingest:
    """One run. watch is told of every step; clock gives Unix seconds."""

    def __init__(
        self,
        place: Place,
        pool: Pool,
        vectors: Vectors,
        watch: Watch,
        *,
        job_id: str,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._place = place
        self._pool = pool
        self._vectors = vectors
        self._watch = watch
        self._clock = clock
        self._progress = JobProgress(job_id=job_id, state="running")

    def run(self, files: Sequence[Selected]) -> JobProgress:
        """Ingest the files and return the last progress: what is stored, unchanged, failed and why.

        Raises Unavailable where no worker fits or the vector store stays away.
        """
        folder = Path(self._place.folder)
        forget_runs(folder.parent, older_than=self._clock() - FORGET_RUNS_S)
        try:
            self._tell(files_total=len(files))
            cut = self._read(files)
            self._embed(cut)
        except BaseException as error:
            reason = error.message if isinstance(error, HeliostatError) else type(error).__name__
            self._tell(state="failed", reason=reason)
            raise
        shutil.rmtree(folder, ignore_errors=True)
        self._tell(state="done")
        return self._progress

    def _read(self, files: Sequence[Selected]) -> list[FileRow]:
        """Stage one: every file; those that were cut come back."""
        cut: list[FileRow] = []
        rows = [{"path": file.path, "source": file.source} for file in files]
        for answer in self._pool.run(ReadAndCut, rows):
            row = FileRow(**answer)
            done = self._progress.files_done + 1
            if row.status == "cut":
                cut.append(row)
                self._tell(files_done=done, chunks_total=self._progress.chunks_total + row.chunks)
            elif row.status == "unchanged":
                self._publish(row)
                self._tell(files_done=done, unchanged=self._progress.unchanged + 1)
            else:
                self._tell(files_done=done)
                self._fail(row.source, row.code, row.message, row.hint)
        return cut

    def _embed(self, cut: Sequence[FileRow]) -> None:
        """Stage two: every slice; a document is published with its last one."""
        slices: list[dict[str, Any]] = []
        waiting: dict[str, list[_Open]] = {}
        for row in cut:
            twins = waiting.setdefault(row.document_id, [])
            starts = range(0, row.chunks, EMBED_AT_ONCE)
            twins.append(_Open(row=row, left=len(starts)))
            if len(twins) > 1:  # the same bytes under two names: embedded once, published twice
                continue
            for first in starts:
                count = min(EMBED_AT_ONCE, row.chunks - first)
                slices.append({"file": row.file, "document_id": row.document_id, "first": first, "count": count})
        if not slices:
            return
        for answer in self._pool.run(Embed, slices):
            for document in waiting[answer["document_id"]]:
                self._stored(document, answer)

    def _stored(self, document: _Open, answer: dict[str, Any]) -> None:
        document.left -= 1
        row = document.row
        if answer["code"]:
            if not document.failed:
                self._fail(row.source, answer["code"], f"{row.source}: {answer['message']}", answer["hint"])
            document.failed = True
            return
        self._tell(chunks_done=self._progress.chunks_done + int(answer["chunks"]))
        if document.left == 0 and not document.failed:
            self._publish(row)
            self._tell(documents=(*self._progress.documents, row.document_id))

    def _publish(self, row: FileRow) -> None:
        document = Document(
            id=row.document_id,
            source=row.source,
            media_type=row.media_type,
            chunks=row.chunks,
            pages=row.pages or None,
            characters=row.characters,
            created=row.created or int(self._clock()),
        )
        self._vectors.publish(document, chunker=self._place.chunker)

    def _fail(self, source: str, code: str, message: str, hint: str) -> None:
        failure = Failure(source=source, code=code, message=message, hint=hint or None)
        self._tell(failed=(*self._progress.failed, failure))

    def _tell(self, **changes: Any) -> None:
        self._progress = replace(self._progress, updated=self._clock(), **changes)
        self._watch(self._progress)


def forget_runs(folder: Path, *, older_than: float) -> None:
    """Remove the chunk files of runs that were killed before that time, in Unix seconds."""
    if not folder.is_dir():
        return
    for run in folder.iterdir():
        if run.is_dir() and run.stat().st_mtime < older_than:
            shutil.rmtree(run, ignore_errors=True)
