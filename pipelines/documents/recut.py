"""A collection's documents in chunks of other sizes, beside it, brought up to date: nothing is parsed again.

Only what is missing, has gone or is called otherwise is touched. Killed at any moment and run again it ends exact,
as an ingest does: ids are hashes, and a document is published when all of its chunks are stored. Two that bring the
same recut up to date at once do the same twice.
"""

import shutil
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from cluster.batched import by_size
from cluster.documents import Document
from cluster.errors import ClusterError, CollectionNotFound, Conflict, DocumentNotFound, Unavailable
from cluster.settings.tree import Settings
from cluster.stores.recut_names import recut_name
from pipelines.documents.embedders import ServedEmbedder
from pipelines.documents.owner import Owner, Shelf
from pipelines.documents.pool import ActorPool, NearPool, Pool
from pipelines.documents.recut_stage import Recut
from pipelines.documents.run_folders import ABANDONED_S, ALIVE_EVERY_S, at_work, show_alive
from pipelines.documents.stages import Embed, FileRow, Place

LOOKS = 3  # the last finds nothing to do, unless somebody changes the collection meanwhile
GROUP_DOCUMENTS = 32  # cut as one piece of work
GROUP_CHARACTERS = 512 * 1024

Watch = Callable[[int, int], None]
"""Told of documents: how many are done, of how many that are to be cut."""

Stopped = Callable[[], bool]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """Of chunks and of what neighbours share, in the embedder's tokens."""

    tokens: int
    overlap: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Stages:
    """Who runs the two stages of a recut. cut reads the collection, embed writes the recut."""

    cut: Pool
    embed: Pool


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """What a recut works with. mark: its chunker's fingerprint. folder: of its chunk files. little: characters of
    documents that are cut near, all together; more is far work."""

    base: Shelf
    into: Shelf
    mark: str
    folder: Path
    near: Stages
    far: Stages
    little: int


class Recutter:
    """Brings one recut up to date. watch is told of each step; stopped is asked before each."""

    def __init__(
        self, work: Work, watch: Watch, stopped: Stopped, *, clock: Callable[[], float] = time.time
    ) -> None:
        self._work = work
        self._watch = watch
        self._stopped = stopped
        self._clock = clock
        self._alive = 0.0
        self.embedded = 0

    def needless(self) -> bool:
        """Whether the collection itself is cut so, or holds nothing."""
        documents = self._work.base.documents()
        held = self._work.base.held([each.id for each in documents], chunker=self._work.mark)
        return len(held) == len(documents)

    def run(self) -> bool:
        """Bring it up to date; False where it was stopped before.

        Raises ClusterError for a document that cannot be cut or stored so, EmbedderMismatch where another embedder
        filled the recut, and Unavailable.
        """
        filled = False
        try:
            for _ in range(LOOKS):
                # In this order: what the collection has not got now and had when it was cut has left it.
                there = {each.id for each in self._work.into.documents()}
                wanted = self._work.base.documents()
                held = self._work.into.held([each.id for each in wanted], chunker=self._work.mark)
                missing = [each for each in wanted if each.id not in held]
                renamed = [each for each in wanted if each.id in held and not _alike(each, held[each.id])]
                gone = there - {each.id for each in wanted}
                if not missing and not renamed and not gone:
                    break
                self._name(renamed, held)
                self._forget(gone)
                if missing:
                    filled = True
                    if not self._fill(missing):
                        return False
            return True
        finally:
            shutil.rmtree(self._work.folder, ignore_errors=True)
            if filled:
                self._reclaim()

    def _name(self, documents: Sequence[Document], held: Mapping[str, Document]) -> None:
        """Say of documents what is said of them in the collection."""
        named = [replace(each, chunks=held[each.id].chunks) for each in documents]
        self._publish([each for each in named if not _alike(each, held[each.id], but_labels=True)])
        for each in named:
            if (each.tags, each.metadata) != (held[each.id].tags, held[each.id].metadata):
                with suppress(DocumentNotFound):
                    self._work.into.annotate(each.id, tags=each.tags, metadata=each.metadata)

    def _forget(self, gone: set[str]) -> None:
        for document_id in sorted(gone):
            with suppress(DocumentNotFound):  # somebody else was here, or its name means another by now
                self._work.into.delete(document_id)

    def _fill(self, missing: Sequence[Document]) -> bool:
        """Cut, embed and publish documents; False where it was stopped."""
        filling = _Filling(missing)
        self._tell(filling)
        left = list(missing)
        if sum(each.characters for each in missing) <= self._work.little:
            left = self._through(self._work.near, missing, filling)
        if left and not self._stopped():
            self._through(self._work.far, left, filling)
        return not self._stopped()

    def _through(self, stages: Stages, documents: Sequence[Document], filling: "_Filling") -> list[Document]:
        """Both stages over documents; those that are too large for these."""
        large: list[Document] = []

        def slices() -> Iterator[dict[str, Any]]:
            for answer in stages.cut.run(Recut, _groups(documents)):
                for row in (FileRow(**fields) for fields in answer["rows"]):
                    if row.status == "large":
                        large.append(filling.wanted[row.document_id])
                    else:
                        filling.cut(row)
                yield from answer["slices"]
                if self._stopped():
                    return

        for answer in stages.embed.run(Embed, slices()):
            self.embedded += int(answer["embedded"])
            self._publish(filling.stored(answer))
            self._tell(filling)
            if self._stopped():
                break
        return large

    def _publish(self, documents: Sequence[Document]) -> None:
        try:
            if documents:
                self._work.into.publish(documents, chunker=self._work.mark)
        except Conflict:  # of one a chunk went meanwhile: it is missing at the next look
            for each in documents if len(documents) > 1 else ():
                self._publish([each])

    def _reclaim(self) -> None:
        """Delete what killed ones stored of documents that went before they were published."""
        before = self._clock() - ABANDONED_S
        with suppress(Unavailable, CollectionNotFound):  # all is stored; the next one does it
            self._work.into.reclaim(before=before, spared=at_work(self._work.folder.parent, since=before))

    def _tell(self, filling: "_Filling") -> None:
        now = self._clock()
        if now - self._alive > ALIVE_EVERY_S:
            self._alive = now
            show_alive(self._work.folder)
        self._watch(filling.done, len(filling.wanted))


class _Filling:
    """Documents on their way into a recut. done: those that have arrived, or went meanwhile."""

    def __init__(self, missing: Sequence[Document]) -> None:
        self.wanted = {each.id: each for each in missing}
        self.done = 0
        self._left: Counter[str] = Counter()
        self._chunks: dict[str, int] = {}

    def cut(self, row: FileRow) -> None:
        """One was cut, or not. Raises ClusterError where it cannot be."""
        if row.status == "failed":
            raise self._failure(row.document_id, row.message, row.code)
        if row.status == "gone":
            self.done += 1
            return
        self._left[row.document_id] = self._chunks[row.document_id] = row.chunks

    def stored(self, answer: Mapping[str, Any]) -> list[Document]:
        """A slice is stored: the documents that are whole now. Raises ClusterError where one of it is not."""
        whole = []
        for document_id, count in answer["documents"].items():
            failure = answer["failed"].get(document_id)
            if failure is not None:
                raise self._failure(document_id, failure["message"], failure["code"])
            self._left[document_id] -= count
            if self._left[document_id] == 0:
                self.done += 1
                whole.append(replace(self.wanted[document_id], chunks=self._chunks[document_id]))
        return whole

    def _failure(self, document_id: str, message: str, code: str) -> ClusterError:
        source = self.wanted[document_id].source
        return ClusterError(
            f"{source} cannot be cut into other chunks: {message} [{code}]",
            hint="answers without it would not be comparable; ingest it again, or take it out",
        )


def recutter(
    settings: Settings,
    application: str,
    collection: str,
    sizes: Sizes,
    watch: Watch,
    stopped: Stopped,
) -> tuple[str, Recutter]:
    """The name of a collection's recut, and what brings it up to date on the running cluster.

    This process must be a driver of it already. Raises BadRequest for a name that is too long.
    """
    name = recut_name(collection, tokens=sizes.tokens, overlap=sizes.overlap)
    documents = settings.documents.model_copy(update={"chunk_tokens": sizes.tokens, "chunk_overlap": sizes.overlap})
    changed = settings.model_copy(update={"documents": documents})
    folder = settings.home_path / "documents" / "runs" / f"recut-{uuid.uuid4().hex[:16]}"
    reading = Place(settings=changed, application=application, folder=str(folder), collection=collection)
    writing = replace(reading, collection=name)
    base, into = Owner(application, collection), Owner(application, name)
    embedder = ServedEmbedder(application, documents=documents)
    work = Work(
        base=base,
        into=into,
        mark=writing.chunker,
        folder=folder,
        near=Stages(cut=NearPool(reading, base, embedder), embed=NearPool(writing, into, embedder)),
        far=Stages(cut=ActorPool(reading, _connected), embed=ActorPool(writing, _connected)),
        little=documents.served_bytes,
    )
    return name, Recutter(work, watch, stopped)


def _connected() -> None:
    """A sweep's driver is one of the cluster already."""


def _alike(one: Document, other: Document, *, but_labels: bool = False) -> bool:
    """Whether two say the same of a document, its number of chunks aside."""
    other = replace(other, chunks=one.chunks)
    return one == (replace(other, tags=one.tags, metadata=one.metadata) if but_labels else other)


def _groups(documents: Sequence[Document]) -> Iterator[dict[str, Any]]:
    for group in by_size(documents, lambda each: each.characters, most=GROUP_CHARACTERS, count=GROUP_DOCUMENTS):
        yield {"documents": [each.id for each in group]}
