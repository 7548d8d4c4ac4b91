"""The two stages of an ingest, each a plain object that Ray Data keeps in an actor: one row in, one out.

Neither raises for a document that is wrong: its row says what failed. A file's bytes never leave the first.
"""

import hashlib
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from cluster.engines.factory import embedding_engine
from cluster.engines.protocol import EmbeddingEngine
from cluster.errors import EmptyDocument, HeliostatError
from cluster.settings.tree import Settings
from cluster.types import EmbedderIdentity
from pipelines.documents.chunk_files import read_chunks, write_chunks
from pipelines.documents.chunker import cut, fingerprint
from pipelines.documents.owner import Owner, Vectors
from pipelines.documents.reader import check_size, read

EMBED_AT_ONCE = 128  # chunks of one row: a write of 0.3 MB, far below the 4 MiB of a message to a replica


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a pipeline works. application: Serve's name of ours. folder: of the run's chunk files."""

    settings: Settings
    application: str
    folder: str

    @property
    def chunker(self) -> str:
        """The fingerprint of the chunker in force."""
        return fingerprint(self.settings.documents, self.settings.embedding_models[0].id)


@dataclass(frozen=True, slots=True, kw_only=True)
class FileRow:
    """What became of a file. status: `cut`, `unchanged` or `failed`. pages: 0 where there are none.

    file: the Parquet file of a cut document's chunks. code, message, hint: why it failed.
    """

    source: str
    status: str = "failed"
    document_id: str = ""
    media_type: str = ""
    pages: int = 0
    characters: int = 0
    chunks: int = 0
    created: int = 0
    file: str = ""
    code: str = ""
    message: str = ""
    hint: str = ""


class _Stage:
    def __init__(self, place: Place, open_vectors: Callable[[str], Vectors] = Owner) -> None:
        self._place = place
        self._model = place.settings.embedding_models[0]
        self._vectors = open_vectors(place.application)
        self._started: EmbeddingEngine | None = None

    @property
    def _engine(self) -> EmbeddingEngine:
        """Loaded at its first use: an ingest that finds everything unchanged loads no model."""
        if self._started is None:
            engine = embedding_engine(self._model, self._place.settings)
            engine.start()
            self._started = engine
        return self._started


class ReadAndCut(_Stage):
    """A file to chunks on disk. Row in: path, source. Row out: a FileRow."""

    def __call__(self, batch: dict[str, Any]) -> dict[str, list[Any]]:
        """Ray Data's face of `one`."""
        files = zip(batch["path"], batch["source"], strict=True)
        return _columns([asdict(self.one(str(path), str(source))) for path, source in files])

    def one(self, path: str, source: str) -> FileRow:
        """Read, parse and cut one file."""
        try:
            return self._cut(path, source)
        except HeliostatError as error:
            return FileRow(source=source, code=error.code, message=error.message, hint=error.hint or "")
        except OSError as error:
            return FileRow(source=source, code="unreadable", message=f"{source}: {error.strerror or error}")

    def _cut(self, path: str, source: str) -> FileRow:
        documents, chunker = self._place.settings.documents, self._place.chunker
        file = Path(path)
        check_size(source, file.stat().st_size, documents)
        content = file.read_bytes()
        document_id = hashlib.sha256(content).hexdigest()
        held = self._vectors.held(document_id, chunker=chunker)
        if held is not None:
            return FileRow(
                source=source,
                status="unchanged",
                document_id=document_id,
                media_type=held.media_type,
                pages=held.pages or 0,
                characters=held.characters,
                chunks=held.chunks,
                created=held.created,
            )
        parsed = read(source, content, documents)
        chunks = cut(
            parsed,
            document_id=document_id,
            source=source,
            tokenize=self._engine.tokenize,
            settings=documents,
            model=self._model.id,
            context_length=self._engine.capabilities.context_length,
        )
        if not chunks:
            raise EmptyDocument(f"{source}: the embedder sees no text in it", hint="has it words?")
        return FileRow(
            source=source,
            status="cut",
            document_id=document_id,
            media_type=parsed.media_type,
            pages=parsed.pages or 0,
            characters=len(parsed.text),
            chunks=len(chunks),
            file=str(write_chunks(Path(self._place.folder), document_id, chunks)),
        )


class Embed(_Stage):
    """Some chunks of a document to the store. Row in: file, document_id, first, count. Out: how many."""

    def __call__(self, batch: dict[str, Any]) -> dict[str, list[Any]]:
        """Ray Data's face of `one`."""
        slices = zip(batch["file"], batch["document_id"], batch["first"], batch["count"], strict=True)
        return _columns([self.one(str(f), str(d), first=int(at), count=int(n)) for f, d, at, n in slices])

    def one(self, file: str, document_id: str, *, first: int, count: int) -> dict[str, Any]:
        """Embed and store what is missing of a slice."""
        row = {"document_id": document_id, "chunks": count, "embedded": 0, "code": "", "message": "", "hint": ""}
        try:
            return row | {"embedded": self._embed(file, first, count)}
        except HeliostatError as error:
            return row | {"code": error.code, "message": error.message, "hint": error.hint or ""}

    def _embed(self, file: str, first: int, count: int) -> int:
        chunks = read_chunks(file, first=first, count=count)
        missing = set(self._vectors.missing([chunk.id for chunk in chunks]))
        # By length, so that a batch of the engine pads little.
        wanted = sorted((chunk for chunk in chunks if chunk.id in missing), key=lambda chunk: chunk.tokens)
        if not wanted:
            return 0
        engine = self._engine
        embedded = engine.embed([chunk.text for chunk in wanted])
        identity = EmbedderIdentity(
            model=self._model.id, revision=engine.revision, dimensions=engine.capabilities.dimensions
        )
        self._vectors.upsert(wanted, embedded.vectors, chunker=self._place.chunker, identity=identity)
        return len(wanted)


def _columns(rows: list[dict[str, Any]]) -> dict[str, list[Any]]:
    return {name: [row[name] for row in rows] for name in rows[0]}
