"""A home with documents, and ingests over it: the stages in a loop, the fake store, the fake embedder."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from cluster.config import resolve
from cluster.documents import Chunk, Document, EmbedderIdentity
from cluster.settings.tree import Settings
from cluster.stores.document_states import DocumentState
from cluster.stores.ledger import Record
from cluster.stores.vectors_memory import MemoryVectors
from pipelines.documents.embedders import LocalEmbedder
from pipelines.documents.job_progress import JobProgress
from pipelines.documents.journal import Journal
from pipelines.documents.labels import Labels
from pipelines.documents.pipeline import Ingest, Means
from pipelines.documents.selection import Selected
from pipelines.documents.stages import Embed, Place, Stage

INTO = "documents"


class Store:
    """One collection of a store, as the owner's client has it. asked: how often each method was called."""

    def __init__(self) -> None:
        self.vectors = MemoryVectors()
        self.asked: dict[str, int] = {}
        self.reclaimed: tuple[float, tuple[str, ...]] | None = None

    def _note(self, method: str) -> None:
        self.asked[method] = self.asked.get(method, 0) + 1

    def held(self, ids: Sequence[str], *, chunker: str) -> dict[str, Document]:
        self._note("held")
        found = self.vectors.held_many(INTO, ids, chunker=chunker)
        return {document.id: document for document in found if document is not None}

    def missing(self, ids: Sequence[str]) -> list[str]:
        self._note("missing")
        return self.vectors.missing(INTO, ids)

    def upsert(
        self, chunks: Sequence[Chunk], vectors: np.ndarray, *, chunker: str, identity: EmbedderIdentity
    ) -> None:
        self._note("upsert")
        self.vectors.upsert(INTO, chunks, vectors, chunker=chunker, identity=identity)

    def publish(self, documents: Sequence[Document], *, chunker: str) -> None:
        self._note("publish")
        self.vectors.publish_many(INTO, documents, chunker=chunker)

    def unpublish(self, sources: Sequence[str]) -> None:
        self._note("unpublish")
        self.vectors.unpublish_sources(INTO, sources)

    def reclaim(self, *, before: float, spared: Sequence[str]) -> None:
        self._note("reclaim")
        self.reclaimed = (before, tuple(spared))

    def documents(self) -> tuple[Document, ...]:
        return self.vectors.documents(INTO)

    def count(self) -> int:
        return self.vectors.count(INTO)

    def records(self) -> dict[str, Record]:
        """As the vector files have them."""
        ledger = self.vectors._collections[INTO]._ledger if INTO in self.vectors._collections else None
        return {record.document.id: record for record in ledger.records()} if ledger else {}


class States:
    """The journal's rows in memory."""

    def __init__(self) -> None:
        self.rows: dict[str, DocumentState] = {}

    def save(self, states: Iterable[DocumentState]) -> None:
        self.rows.update((state.source, state) for state in states)

    def of(self, collection: str) -> dict[str, DocumentState]:
        return {source: state for source, state in self.rows.items() if state.collection == collection}

    def forget(self, collection: str, sources: Iterable[str] | None = None) -> None:
        for source in list(self.rows) if sources is None else sources:
            if source in self.rows and self.rows[source].collection == collection:
                del self.rows[source]


class Loop:
    """Runs stages here; dies after `die_after` slices were embedded, as a killed process would."""

    def __init__(self, place: Place, store: Store, die_after: int | None = None) -> None:
        self.place = place
        self.store = store
        self.die_after = die_after
        self.embedded = 0
        self.slices: list[dict[str, Any]] = []

    def run(self, stage: type[Stage], work: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
        worker = stage(self.place, self.store, LocalEmbedder(self.place.settings))
        for number, each in enumerate(work):
            if stage is Embed and number == self.die_after:
                raise KeyboardInterrupt
            answer = worker.one(each)
            if stage is Embed:
                self.embedded += answer["embedded"]
                self.slices.append(each)
            yield answer


class House:
    """A home with documents, and ingests over it."""

    def __init__(self, folder: Path, **documents: Any) -> None:
        self.home = folder
        self.store = Store()
        self.states = States()
        args = {
            "home": str(folder),
            "models": [{"id": "hash", "engine": {"kind": "hash", "dimensions": 16}}],
            "documents": {"chunk_tokens": 16, "chunk_overlap": 0, "embedding_cache_mib": 0, **documents},
        }
        self.settings: Settings = resolve(args, {})
        self.seen: list[JobProgress] = []
        self.now = 1_000_000_000_000.0  # every file is old by then
        self.near: Loop
        self.far: Loop

    def write(self, name: str, content: str | bytes) -> Selected:
        file = self.home / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content.encode() if isinstance(content, str) else content)
        return Selected(path=str(file), source=name)

    def ingest(
        self,
        *files: Selected,
        die_after: int | None = None,
        labels: Labels | None = None,
        records: Mapping[str, Record] | None = None,
    ) -> JobProgress:
        place = Place(settings=self.settings, application="app", folder=str(self.home / "runs" / "run"))
        self.near, self.far = (Loop(place, self.store, die_after) for _ in range(2))
        means = Means(near=self.near, far=self.far, vectors=self.store, records=records or {})
        journal = self.journal()
        run = Ingest(place, means, journal, self.seen.append, job_id="run", labels=labels, clock=lambda: self.now)
        return run.run(files)

    def journal(self) -> Journal:
        return Journal(self.states, INTO, clock=lambda: self.now)

    @property
    def embedded(self) -> int:
        """Texts that the last ingest computed."""
        return self.near.embedded + self.far.embedded

    def sources(self) -> set[str]:
        return {document.source for document in self.store.documents()}
