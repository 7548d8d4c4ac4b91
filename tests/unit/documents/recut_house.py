"""A home with documents and a recut of them: the real stages, the fake store, the fake embedder."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from cluster.documents import Chunk, Document, EmbedderIdentity
from cluster.stores.recut_names import recut_name
from pipelines.documents.recut import Recutter, Stages, Work
from pipelines.documents.stages import Place
from tests.unit.documents.house import INTO, House, Loop, Store


class Rack(Store):
    """One collection of the house's store, as the owner's client has it."""

    def __init__(self, store: Store, name: str) -> None:
        super().__init__()
        self.vectors = store.vectors
        self.name = name

    def held(self, ids: Sequence[str], *, chunker: str) -> dict[str, Document]:
        found = self.vectors.held_many(self.name, ids, chunker=chunker)
        return {document.id: document for document in found if document is not None}

    def missing(self, ids: Sequence[str]) -> list[str]:
        return self.vectors.missing(self.name, ids)

    def upsert(
        self, chunks: Sequence[Chunk], vectors: np.ndarray, *, chunker: str, identity: EmbedderIdentity
    ) -> None:
        self._note("upsert")
        self.vectors.upsert(self.name, chunks, vectors, chunker=chunker, identity=identity)

    def publish(self, documents: Sequence[Document], *, chunker: str) -> None:
        self._note("publish")
        self.vectors.publish_many(self.name, documents, chunker=chunker)

    def documents(self) -> tuple[Document, ...]:
        return self.vectors.documents(self.name)

    def document(self, document_id: str) -> Document:
        return self.vectors.document(self.name, document_id)

    def chunks(self, document_id: str, *, first: int = 0, limit: int = 999) -> tuple[Chunk, ...]:
        return self.vectors.chunks(self.name, document_id, first=first, limit=limit)

    def annotate(self, document_id: str, *, tags: Sequence[str] | None, metadata: Mapping[str, Any] | None) -> None:
        self._note("annotate")
        self.vectors.annotate(self.name, document_id, tags=tags, metadata=metadata)

    def delete(self, document_id: str) -> Document:
        self._note("delete")
        return self.vectors.delete(self.name, document_id)

    def count(self) -> int:
        return self.vectors.count(self.name)


class Recutting:
    """Recuts of a house's documents."""

    def __init__(self, folder: Path, *, tokens: int = 32, overlap: int = 0, little: int = 10**6) -> None:
        self.house = House(folder)
        self.base = Rack(self.house.store, INTO)
        self.into = Rack(self.house.store, recut_name(INTO, tokens=tokens, overlap=overlap))
        self.told: list[tuple[int, int]] = []
        self.stop_after: int | None = None
        self._little = little
        sizes = {"chunk_tokens": tokens, "chunk_overlap": overlap}
        documents = self.house.settings.documents.model_copy(update=sizes)
        settings = self.house.settings.model_copy(update={"documents": documents})
        runs = str(folder / "runs" / "recut")
        self.place = Place(settings=settings, application="app", folder=runs, collection=INTO)

    def add(self, name: str, text: str) -> Document:
        """Ingest a file."""
        self.house.ingest(self.house.write(name, text))
        return next(one for one in self.base.documents() if one.source == name)

    def recutter(self, die_after: int | None = None) -> Recutter:
        writing = replace(self.place, collection=self.into.name)
        near = Stages(cut=Loop(self.place, self.base), embed=Loop(writing, self.into, die_after))
        far = Stages(cut=Loop(self.place, self.base), embed=Loop(writing, self.into, die_after))
        self.near, self.far = near, far
        work = Work(
            base=self.base,
            into=self.into,
            mark=writing.chunker,
            folder=Path(self.place.folder),
            near=near,
            far=far,
            little=self._little,
        )
        return Recutter(work, lambda done, total: self.told.append((done, total)), self._stopped)

    def run(self, die_after: int | None = None) -> int:
        """Bring the recut up to date; how many texts were embedded for that."""
        self.told = []
        recutter = self.recutter(die_after)
        self.whole = recutter.run()
        return recutter.embedded

    def recut(self) -> dict[str, Document]:
        """The recut's documents by source."""
        return {each.source: each for each in self.into.documents()}

    def _stopped(self) -> bool:
        return self.stop_after is not None and len(self.told) > self.stop_after
