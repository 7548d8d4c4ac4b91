"""Documents in, passages and grounded answers out: what the retriever thinks, without Serve."""

import asyncio
import hashlib
import json
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Protocol

from cluster.errors import BadRequest, ContextTooLong, EmptyDocument, ModelNotFound, PayloadTooLarge
from cluster.settings.pipelines import DocumentSettings
from cluster.types import (
    Answer,
    ChatCall,
    Chunk,
    Document,
    EmbedderIdentity,
    EmbeddingCall,
    Embeddings,
    Health,
    ModelCard,
    Passage,
    Usage,
)
from deployments.clients import ChatModel
from deployments.retrieval import grounding
from pipelines.documents.chunker import fingerprint
from pipelines.documents.parsed import ParsedDocument
from pipelines.documents.reader import read

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

EMBED_AT_ONCE = 128  # chunks of one call: far below the 4 MiB that a message between replicas may have
MAX_TEXT_BYTES = 3 * 1024**2  # of one inline document, for the same reason
PARSERS = 2  # documents parsed at once, each in its own process


class CuttingEmbedder(Protocol):
    """The embedding model, which also cuts documents into chunks."""

    async def card(self) -> ModelCard: ...  # noqa: D102 - as in deployments.clients.Embedder

    async def embed(self, call: EmbeddingCall) -> Embeddings: ...  # noqa: D102

    async def cut(self, parsed: ParsedDocument, *, document_id: str, source: str) -> tuple[Chunk, ...]:
        """The document's chunks, in order."""
        ...


class Vectors(Protocol):
    """The vector store's owner; see cluster.stores.vectors.VectorStore."""

    async def held(self, document_id: str, *, chunker: str) -> Document | None: ...  # noqa: D102

    async def missing(self, ids: Sequence[str]) -> list[str]: ...  # noqa: D102

    async def upsert(  # noqa: D102
        self, chunks: Sequence[Chunk], vectors: "NDArray[np.float32]", *, chunker: str, identity: EmbedderIdentity
    ) -> None: ...

    async def publish(self, document: Document, *, chunker: str) -> None: ...  # noqa: D102

    async def query(  # noqa: D102
        self, vector: "NDArray[np.float32]", *, limit: int, identity: EmbedderIdentity
    ) -> tuple[Passage, ...]: ...

    async def documents(self) -> tuple[Document, ...]: ...  # noqa: D102

    async def delete(self, document_id: str) -> Document: ...  # noqa: D102

    async def health(self) -> Health: ...  # noqa: D102


class Library:
    """All that the retriever does. clock: Unix seconds."""

    def __init__(
        self,
        settings: DocumentSettings,
        embedder: CuttingEmbedder,
        vectors: Vectors,
        models: Mapping[str, ChatModel],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._settings = settings
        self._embedder = embedder
        self._vectors = vectors
        self._models = models
        self._clock = clock
        self._parsing = asyncio.Semaphore(PARSERS)

    async def add(self, *, source: str, content: bytes) -> Document:
        """Store one document. The same bytes again are only given the new name.

        Raises what pipelines.documents.reader.read raises, and EmbedderMismatch.
        """
        document_id = hashlib.sha256(content).hexdigest()
        card = await self._embedder.card()
        chunker = fingerprint(self._settings, card.id)
        held = await self._vectors.held(document_id, chunker=chunker)
        if held is not None:
            return await self._renamed(held, source, chunker)
        async with self._parsing:
            parsed = await asyncio.to_thread(read, source, content, self._settings)
        if len(parsed.text.encode()) > MAX_TEXT_BYTES:
            raise PayloadTooLarge(
                f"{source}: its text is larger than {MAX_TEXT_BYTES} bytes", hint="read it with heliostat ingest"
            )
        chunks = await self._embedder.cut(parsed, document_id=document_id, source=source)
        if not chunks:
            raise EmptyDocument(f"{source}: the embedder sees no text in it", hint="send a file with words in it")
        await self._store(chunks, chunker, _identity(card))
        document = Document(
            id=document_id,
            source=source,
            media_type=parsed.media_type,
            chunks=len(chunks),
            pages=parsed.pages,
            characters=len(parsed.text),
            created=int(self._clock()),
        )
        await self._vectors.publish(document, chunker=chunker)
        return document

    async def documents(self) -> tuple[Document, ...]:
        """All documents, newest first."""
        return await self._vectors.documents()

    async def remove(self, document_id: str) -> Document:
        """Forget one document. Raises DocumentNotFound."""
        return await self._vectors.delete(document_id)

    async def search(self, query: str, *, limit: int) -> tuple[Passage, ...]:
        """The best passages, best first. Raises BadRequest, EmbedderMismatch."""
        if not query.strip():
            raise BadRequest("The query is empty", hint="ask something", param="query")
        call = EmbeddingCall(inputs=(query,), request_id=uuid.uuid4().hex)
        try:
            card, embedded = await asyncio.gather(self._embedder.card(), self._embedder.embed(call))
        except BadRequest as error:  # nothing but characters that the embedder does not see
            raise BadRequest("The query has no word in it", hint="ask something", param="query") from error
        return await self._vectors.query(embedded.vectors[0], limit=limit, identity=_identity(card))

    async def answer(self, query: str, *, limit: int, model: str | None, request_id: str) -> Answer:
        """Answer from the best passages; without one worth showing, say so without asking a model.

        Raises ModelNotFound, ContextTooLong where not even one passage fits, and what the model raises.
        """
        name, chat = self._chosen(model)
        found = await self.search(query, limit=limit)
        passages = grounding.worth_showing(found, self._settings.min_score)
        if not passages:
            return Answer(text=grounding.ABSTENTION, model=name, passages=(), finish_reason="stop", usage=Usage())
        card = await chat.card()
        tokens = self._settings.answer_tokens
        context = card.capabilities.context_length
        passages = grounding.fit(passages, query, context_length=context, answer_tokens=tokens)
        while True:
            body = grounding.body(name, passages, query, tokens)
            try:
                completion = json.loads(await chat.chat(ChatCall(body=body, request_id=request_id)))
            except ContextTooLong:
                if len(passages) == 1:
                    raise
                passages = passages[:-1]
                continue
            choice, usage = completion["choices"][0], completion["usage"]
            return Answer(
                text=(choice["message"]["content"] or "").strip(),
                model=name,
                passages=passages,
                finish_reason=choice["finish_reason"],
                usage=Usage(prompt_tokens=usage["prompt_tokens"], completion_tokens=usage["completion_tokens"]),
            )

    async def health(self) -> Health:
        """How the vector store is."""
        return await self._vectors.health()

    def _chosen(self, model: str | None) -> tuple[str, ChatModel]:
        name = model or self._settings.answer_model or next(iter(self._models), None)
        if name is None:
            raise ModelNotFound("No chat model is served to answer with", hint="add one to models")
        if name not in self._models:
            raise ModelNotFound(
                f"No chat model {name!r} is served here", hint=f"one of {', '.join(self._models)}", param="model"
            )
        return name, self._models[name]

    async def _renamed(self, held: Document, source: str, chunker: str) -> Document:
        document = replace(held, source=source)
        await self._vectors.publish(document, chunker=chunker)
        return document

    async def _store(self, chunks: tuple[Chunk, ...], chunker: str, identity: EmbedderIdentity) -> None:
        missing = set(await self._vectors.missing([chunk.id for chunk in chunks]))
        wanted = [chunk for chunk in chunks if chunk.id in missing]
        for first in range(0, len(wanted), EMBED_AT_ONCE):
            part = wanted[first : first + EMBED_AT_ONCE]
            texts = tuple(chunk.text for chunk in part)
            call = EmbeddingCall(inputs=texts, request_id=uuid.uuid4().hex)
            embedded = await self._embedder.embed(call)
            await self._vectors.upsert(part, embedded.vectors, chunker=chunker, identity=identity)


def _identity(card: ModelCard) -> EmbedderIdentity:
    return EmbedderIdentity(model=card.id, revision=card.revision, dimensions=card.capabilities.dimensions)
