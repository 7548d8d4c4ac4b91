"""The two stages of an ingest, each a plain object: one piece of work in, one answer out, both plain JSON.

A group of files becomes chunks on disk; then slices of those, over documents, are embedded and stored. Neither
raises for a document that is wrong: the answer says what failed. A file's bytes never leave the first stage.
"""

import hashlib
import json
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cluster.documents import Chunk
from cluster.errors import EmptyDocument, HeliostatError, Unavailable
from cluster.settings.tree import Settings
from cluster.stores import embedding_cache
from cluster.stores.embedding_cache import EmbeddingCache
from pipelines.documents.chunk_files import read_chunks, write_chunks
from pipelines.documents.chunker import fingerprint
from pipelines.documents.embedders import Embedder, LocalEmbedder, TooLargeToSend
from pipelines.documents.owner import Owner, Vectors
from pipelines.documents.reader import check_size, read

if TYPE_CHECKING:
    from numpy.typing import NDArray

SLICE_CHUNKS = 256  # with their vectors of 384 numbers 1 MB: a message to a replica may have 4 MiB
SLICE_TOKENS = 16_384  # of longer chunks: about the memory of one batch, and as much work is lost by a kill
MIB = 1024**2


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a pipeline works. application: Serve's name of ours. folder: of the run's chunk files.

    collection: None takes the configured one.
    """

    settings: Settings
    application: str
    folder: str
    collection: str | None = None

    @property
    def chunker(self) -> str:
        """The fingerprint of the chunker in force."""
        return fingerprint(self.settings.documents, self.settings.embedding_models[0].id)

    @property
    def into(self) -> str:
        """The collection's name."""
        return self.collection or self.settings.documents.collection


@dataclass(frozen=True, slots=True, kw_only=True)
class FileRow:
    """What became of a file. status: `cut`, `large` (to be cut elsewhere) or `failed`. pages: 0 if there are none.

    code, message, hint: why it failed.
    """

    source: str
    status: str = "failed"
    document_id: str = ""
    media_type: str = ""
    pages: int = 0
    characters: int = 0
    chunks: int = 0
    code: str = ""
    message: str = ""
    hint: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Slice:
    """Rows of a chunk file. documents: how many of them are whose, by document id."""

    file: str
    first: int
    count: int
    documents: dict[str, int]


class Stage(ABC):
    """What both share. vectors, embedder: the running application's owner and a model of its own, by default."""

    def __init__(self, place: Place, vectors: Vectors | None = None, embedder: Embedder | None = None) -> None:
        self._place = place
        self._vectors = vectors or Owner(place.application, place.into)
        self._embedder = embedder or LocalEmbedder(place.settings)

    def __call__(self, batch: dict[str, Any]) -> dict[str, list[str]]:
        """Ray Data's face of `one`."""
        return {"done": [json.dumps(self.one(json.loads(str(work)))) for work in batch["work"]]}

    @abstractmethod
    def one(self, work: dict[str, Any]) -> dict[str, Any]:
        """One piece of work to its answer."""


class ReadAndCut(Stage):
    """Files to chunks on disk. In: `files`, each a path and a source. Out: `rows` (FileRow), `slices` (Slice)."""

    def one(self, work: dict[str, Any]) -> dict[str, Any]:
        """Read, parse and cut some files."""
        rows: list[FileRow] = []
        chunks: list[Chunk] = []
        for file in work["files"]:
            row, cut = self._tried(file["path"], file["source"])
            rows.append(row)
            chunks += cut
        slices: list[Slice] = []
        if chunks:
            name = str(write_chunks(Path(self._place.folder), chunks))
            slices = list(sliced(name, chunks))
        return {"rows": [asdict(row) for row in rows], "slices": [asdict(each) for each in slices]}

    def _tried(self, path: str, source: str) -> tuple[FileRow, tuple[Chunk, ...]]:
        try:
            return self._cut(path, source)
        except Unavailable:  # nothing is wrong with the document
            raise
        except HeliostatError as error:
            return FileRow(source=source, code=error.code, message=error.message, hint=error.hint or ""), ()
        except OSError as error:
            return FileRow(source=source, code="unreadable", message=f"{source}: {error.strerror or error}"), ()
        except TooLargeToSend:
            return FileRow(source=source, status="large"), ()

    def _cut(self, path: str, source: str) -> tuple[FileRow, tuple[Chunk, ...]]:
        documents = self._place.settings.documents
        file = Path(path)
        check_size(source, file.stat().st_size, documents)
        content = file.read_bytes()
        document_id = hashlib.sha256(content).hexdigest()
        parsed = read(source, content, documents)
        del content  # only its text is needed while the chunks are made
        chunks = self._embedder.cut(parsed, document_id=document_id, source=source)
        if not chunks:
            raise EmptyDocument(f"{source}: the embedder sees no text in it", hint="has it words?")
        row = FileRow(
            source=source,
            status="cut",
            document_id=document_id,
            media_type=parsed.media_type,
            pages=parsed.pages or 0,
            characters=len(parsed.text),
            chunks=len(chunks),
        )
        return row, chunks


class Embed(Stage):
    """Chunks to the store. In: a Slice. Out: its `documents`, `embedded` (texts computed), `embedder`, `failed`.

    failed: code, message and hint by document id.
    """

    def __init__(self, place: Place, vectors: Vectors | None = None, embedder: Embedder | None = None) -> None:
        super().__init__(place, vectors, embedder)
        size = place.settings.documents.embedding_cache_mib * MIB
        self._cache = EmbeddingCache(place.settings.home_path / embedding_cache.FILE, max_bytes=size)

    def one(self, work: dict[str, Any]) -> dict[str, Any]:
        """Embed and store what is missing of a slice."""
        chunks = read_chunks(work["file"], first=work["first"], count=work["count"])
        failed: dict[str, dict[str, str]] = {}
        try:
            embedded = self._embed(chunks)
        except Unavailable:
            raise
        except HeliostatError as error:
            embedded = self._one_by_one(chunks, error, failed)
        named = set(work["documents"]) - set(failed)
        return {
            "documents": work["documents"],
            "embedded": embedded,
            "embedder": self._name() if named else "",
            "failed": failed,
        }

    def _one_by_one(self, chunks: Sequence[Chunk], error: HeliostatError, failed: dict[str, dict[str, str]]) -> int:
        """A document at a time, so that one that is wrong fails no other. error: of all of them together."""
        documents = list(dict.fromkeys(chunk.document_id for chunk in chunks))
        embedded = 0
        for document_id in documents:
            try:
                if len(documents) == 1:
                    raise error
                embedded += self._embed([chunk for chunk in chunks if chunk.document_id == document_id])
            except Unavailable:
                raise
            except HeliostatError as own:
                failed[document_id] = {"code": own.code, "message": own.message, "hint": own.hint or ""}
        return embedded

    def _embed(self, chunks: Sequence[Chunk]) -> int:
        import numpy as np

        missing = set(self._vectors.missing([chunk.id for chunk in chunks]))
        wanted = [chunk for chunk in chunks if chunk.id in missing]
        if not wanted:
            return 0
        identity = self._embedder.identity
        texts = [chunk.text for chunk in wanted]
        known = self._cache.get(texts, identity)
        # By length, so that a batch pads little; each text once, however many documents hold it.
        unknown = {chunk.text: chunk.tokens for at, chunk in enumerate(wanted) if at not in known}
        new = sorted(unknown, key=lambda text: unknown[text])
        made: dict[str, NDArray[np.float32]] = {}
        if new:
            vectors = self._embedder.embed(new)
            self._cache.put(new, vectors, identity)
            made = dict(zip(new, vectors, strict=True))
        rows = np.stack([known[at] if at in known else made[text] for at, text in enumerate(texts)])
        self._vectors.upsert(wanted, rows, chunker=self._place.chunker, identity=identity)
        return len(new)

    def _name(self) -> str:
        identity = self._embedder.identity
        return f"{identity.model}@{identity.revision}"


def sliced(file: str, chunks: Sequence[Chunk]) -> Iterator[Slice]:
    """A chunk file's rows in slices that are a batch and a message each."""
    first, tokens = 0, 0
    for at, chunk in enumerate(chunks):
        if at > first and (tokens + chunk.tokens > SLICE_TOKENS or at - first == SLICE_CHUNKS):
            yield _slice(file, first, chunks[first:at])
            first, tokens = at, 0
        tokens += chunk.tokens
    yield _slice(file, first, chunks[first:])


def _slice(file: str, first: int, chunks: Sequence[Chunk]) -> Slice:
    documents = Counter(chunk.document_id for chunk in chunks)
    return Slice(file=file, first=first, count=len(chunks), documents=dict(documents))
