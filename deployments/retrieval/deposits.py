"""Documents on their way in, several in one pass: read, cut, embedded, written, and only then published.

A pass asks each other part once for all of its documents, as a call through Serve costs as much as a small document
does. What is wrong with one document fails no other. Killed at any moment, it leaves documents that are published
with all of their chunks, and chunks of which no search knows: to store the same bytes again goes on there.
"""

import asyncio
import hashlib
import time
import uuid
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol, TypeVar
from weakref import WeakValueDictionary

from cluster.batched import by_size
from cluster.documents import Added, Chunk, Document, EmbedderIdentity, MetadataValue, NewDocument
from cluster.errors import EmptyDocument, HeliostatError, PayloadTooLarge, Unavailable
from cluster.settings.pipelines import DocumentSettings
from cluster.stores.embedding_cache import EmbeddingCache
from cluster.types import EmbeddingCall, Embeddings, ModelCard
from pipelines.documents.chunker import fingerprint
from pipelines.documents.parsed import Uncut
from pipelines.documents.reader import read

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

EMBED_AT_ONCE = 128  # chunks of one call: far below what a message between replicas may have
MAX_TEXT_BYTES = 3 * 1024**2  # of one document, and of all that are cut by one call, for the same reason
PARSERS = 2  # documents parsed at once, each in its own process

Given = TypeVar("Given")


class Cutting(Protocol):
    """The embedding model, which also cuts documents into chunks."""

    async def card(self) -> ModelCard: ...  # noqa: D102 - as in deployments.clients.Embedder

    async def embed(self, call: EmbeddingCall) -> Embeddings: ...  # noqa: D102

    async def cut_many(self, documents: Sequence[Uncut]) -> tuple[tuple[Chunk, ...] | HeliostatError, ...]:
        """Each document's chunks, in order, or why it has none."""
        ...


class Chunks(Protocol):
    """Where chunks are written and documents published; see cluster.stores.vectors.VectorStore."""

    async def held_many(  # noqa: D102
        self, collection: str, document_ids: Sequence[str], *, chunker: str
    ) -> tuple[Document | None, ...]: ...

    async def missing(self, collection: str, ids: Sequence[str]) -> list[str]: ...  # noqa: D102

    async def upsert(  # noqa: D102
        self,
        collection: str,
        chunks: Sequence[Chunk],
        vectors: "NDArray[np.float32]",
        *,
        chunker: str,
        identity: EmbedderIdentity,
    ) -> None: ...

    async def publish_many(  # noqa: D102
        self, collection: str, documents: Sequence[Document], *, chunker: str
    ) -> tuple[Document, ...]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """Where documents go, and what their owner says of all of them."""

    collection: str
    tags: tuple[str, ...]
    metadata: Mapping[str, MetadataValue]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Means:
    """What a pass's documents are made with."""

    said: Said
    chunker: str
    identity: EmbedderIdentity


@dataclass(frozen=True, slots=True, kw_only=True)
class _Filled:
    """A document with its chunks, none of which is written yet."""

    document: Document
    chunks: tuple[Chunk, ...]


class Deposits:
    """Takes documents in. cache: of vectors of texts that were embedded before. clock: Unix seconds."""

    def __init__(
        self,
        settings: DocumentSettings,
        embedder: Cutting,
        vectors: Chunks,
        cache: EmbeddingCache,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._settings = settings
        self._embedder = embedder
        self._vectors = vectors
        self._cache = cache
        self._clock = clock
        self._parsing = asyncio.Semaphore(PARSERS)
        # The same bytes sent twice at once are read once: the second sender waits, and finds them stored.
        self._taking: WeakValueDictionary[tuple[str, str], asyncio.Lock] = WeakValueDictionary()

    async def take(self, files: Sequence[NewDocument], said: Said) -> tuple[Added, ...]:
        """Store files; of each its document, or why there is none, in their order. Of one name the last stands.

        Raises Unavailable where a part that all need is away, and what else is wrong with all of them.
        """
        ids = await asyncio.to_thread(lambda: [hashlib.sha256(file.content).hexdigest() for file in files])
        found: dict[int, Added] = {}
        for places in passes([(file.source, key) for file, key in zip(files, ids, strict=True)]):
            some = {ids[at]: files[at] for at in places}
            added = await self._pass(some, said)
            found.update((at, added[ids[at]]) for at in places)
        return tuple(found[at] for at in range(len(files)))

    async def _pass(self, files: Mapping[str, NewDocument], said: Said) -> dict[str, Added]:
        """files, and what became of them: by document id, no two of one name."""
        locks = [self._taking.setdefault((said.collection, key), asyncio.Lock()) for key in sorted(files)]
        async with AsyncExitStack() as held:
            for lock in locks:  # by id: two passes never wait for each other
                await held.enter_async_context(lock)
            card = await self._embedder.card()
            means = _Means(
                said=said, chunker=fingerprint(self._settings, card.id), identity=EmbedderIdentity.of(card)
            )
            stored = await self._vectors.held_many(said.collection, list(files), chunker=means.chunker)
            found: dict[str, Added] = {key: one for key, one in zip(files, stored, strict=True) if one is not None}
            new = {key: file for key, file in files.items() if key not in found}
            if new:
                found |= await self._stored(new, means)
            given = {
                key: self._given(one, files[key], said) for key, one in found.items() if isinstance(one, Document)
            }
            return found | await _apart(given, lambda some: self._published(some, means))

    def _given(self, document: Document, file: NewDocument, said: Said) -> Document:
        """A document under the name that it has now, with what is said of it now."""
        return replace(document, source=file.source, tags=said.tags, metadata=dict(said.metadata))

    async def _published(self, documents: Mapping[str, Document], means: _Means) -> dict[str, Document]:
        told = await self._vectors.publish_many(
            means.said.collection, list(documents.values()), chunker=means.chunker
        )
        return dict(zip(documents, told, strict=True))

    async def _stored(self, files: Mapping[str, NewDocument], means: _Means) -> dict[str, Added]:
        """Read, cut, embed and write documents; they are not published then."""
        read_ = await asyncio.gather(*(self._tried(key, file) for key, file in files.items()))
        found: dict[str, Added] = {}
        filled: dict[str, _Filled] = {}
        uncut = [one for one in read_ if isinstance(one, Uncut)]
        for part in by_size(uncut, _text_bytes, most=MAX_TEXT_BYTES):
            for one, chunks in zip(part, await self._embedder.cut_many(part), strict=True):
                if isinstance(chunks, HeliostatError):
                    found[one.document_id] = chunks
                elif not chunks:
                    found[one.document_id] = EmptyDocument(
                        f"{one.source}: the embedder sees no text in it", hint="send a file with words in it"
                    )
                else:
                    filled[one.document_id] = _Filled(document=self._document(one, len(chunks)), chunks=chunks)
        refused = {key: one for key, one in zip(files, read_, strict=True) if isinstance(one, HeliostatError)}
        return found | refused | await _apart(filled, lambda some: self._written(some, means))

    async def _tried(self, document_id: str, file: NewDocument) -> Uncut | HeliostatError:
        """A file, parsed."""
        try:
            async with self._parsing:
                parsed = await asyncio.to_thread(read, file.source, file.content, self._settings)
            uncut = Uncut(parsed=parsed, document_id=document_id, source=file.source)
            if _text_bytes(uncut) > MAX_TEXT_BYTES:
                raise PayloadTooLarge(
                    f"{file.source}: its text is larger than {MAX_TEXT_BYTES} bytes",
                    hint="read it with heliostat ingest",
                )
            return uncut
        except HeliostatError as error:
            return error

    async def _written(self, filled: Mapping[str, _Filled], means: _Means) -> dict[str, Document]:
        """Write what is missing of documents' chunks."""
        collection = means.said.collection
        chunks = [chunk for one in filled.values() for chunk in one.chunks]
        missing = set(await self._vectors.missing(collection, [chunk.id for chunk in chunks]))
        wanted = [chunk for chunk in chunks if chunk.id in missing]
        for first in range(0, len(wanted), EMBED_AT_ONCE):
            part = wanted[first : first + EMBED_AT_ONCE]
            vectors = await self._embedded([chunk.text for chunk in part], means.identity)
            await self._vectors.upsert(collection, part, vectors, chunker=means.chunker, identity=means.identity)
        return {key: one.document for key, one in filled.items()}

    async def _embedded(self, texts: Sequence[str], identity: EmbedderIdentity) -> "NDArray[np.float32]":
        """Vectors of the texts; each text is embedded once, and those that were embedded before are not again."""
        import numpy as np

        known = await asyncio.to_thread(self._cache.get, texts, identity)
        new = tuple(dict.fromkeys(text for at, text in enumerate(texts) if at not in known))
        made: dict[str, NDArray[np.float32]] = {}
        if new:
            embedded = await self._embedder.embed(EmbeddingCall(inputs=new, request_id=uuid.uuid4().hex))
            await asyncio.to_thread(self._cache.put, new, embedded.vectors, identity)
            made = dict(zip(new, embedded.vectors, strict=True))
        return np.stack([known[at] if at in known else made[text] for at, text in enumerate(texts)])

    def _document(self, one: Uncut, chunks: int) -> Document:
        return Document(
            id=one.document_id,
            source=one.source,
            media_type=one.parsed.media_type,
            chunks=chunks,
            pages=one.parsed.pages,
            characters=len(one.parsed.text),
            created=int(self._clock()),
        )


def passes(named: Sequence[tuple[str, str]]) -> Iterator[list[int]]:
    """Places of (name, id) in lists, to be gone through one after the other.

    No list has a name or an id twice, and of one name the places keep their order.
    """
    left = list(range(len(named)))
    while left:
        taken: list[int] = []
        waiting: list[int] = []
        names: set[str] = set()
        ids: set[str] = set()
        for at in left:
            name, key = named[at]
            (waiting if name in names or key in ids else taken).append(at)
            names.add(name)
            ids.add(key)
        yield taken
        left = waiting


def _text_bytes(uncut: Uncut) -> int:
    return len(uncut.parsed.text.encode())


async def _apart(
    some: Mapping[str, Given], work: Callable[[Mapping[str, Given]], Awaitable[Mapping[str, Document]]]
) -> dict[str, Added]:
    """Work on all together, and where that fails on each alone: one that is wrong fails no other.

    Raises Unavailable.
    """
    if not some:
        return {}
    try:
        return dict(await work(some))
    except Unavailable:
        raise
    except HeliostatError as error:
        if len(some) == 1:
            return dict.fromkeys(some, error)
    found: dict[str, Added] = {}
    for key, one in some.items():
        found |= await _apart({key: one}, work)
    return found
