"""What stands behind the protocols of `clients.py` in a cluster: Serve's handles.

This is the one place where those loosely typed handles are cast, and where a failure that crossed a process becomes
one of our errors again.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

from cluster.documents import (
    Added,
    Chunk,
    CollectionCard,
    Document,
    MetadataValue,
    NewDocument,
    Passage,
    SearchCall,
)
from cluster.errors import HeliostatError
from cluster.serve_errors import translate
from cluster.serve_replicas import RUNNING
from cluster.timing import tell
from cluster.types import (
    ChatAnswer,
    ChatCall,
    Claim,
    EmbeddingCall,
    Embeddings,
    Health,
    LoadedModel,
    ModelCard,
    ModelEvent,
    ScoreCall,
    Scores,
    TokenizeCall,
    Tokenized,
    Using,
)
from deployments.clients import NO_METADATA
from pipelines.documents.parsed import Uncut

if TYPE_CHECKING:
    from ray.serve.handle import DeploymentHandle


class ChatModelClient:
    """A chat model behind a Serve handle."""

    def __init__(self, handle: "DeploymentHandle[Any]", *, sleeps: bool = False) -> None:
        """sleeps: whether it may have no replica, until the next request brings one."""
        self._sleeps = sleeps
        self._unary = handle
        self._stream = handle.options(stream=True)  # of the same router

    async def card(self) -> ModelCard:
        """What the model is and can do."""
        return cast(ModelCard, await reply(self._unary.card.remote()))

    async def chat(self, call: ChatCall) -> bytes:
        """One `chat.completion`, as JSON."""
        answer = cast(ChatAnswer, await reply(_towards(self._unary, "chat", call).remote(call)))
        tell(answer.timing)
        return answer.body

    async def stream(self, call: ChatCall) -> AsyncIterator[bytes]:
        """Server-sent events; closing the iterator stops the generation."""
        response: Any = _towards(self._stream, "stream", call).remote(call)
        try:
            async for item in response:
                if isinstance(item, ChatAnswer):  # the first
                    tell(item.timing)
                    yield item.body
                else:
                    yield cast(bytes, item)
        except Exception as error:  # the border of the process: everything is translated here, once
            raise translate(error) from error
        finally:
            response.cancel()

    async def tokenize(self, call: TokenizeCall) -> Tokenized:
        """The tokens of a text, or of messages in the model's template."""
        return cast(Tokenized, await reply(self._unary.tokenize.remote(call)))

    async def detokenize(self, tokens: Sequence[int]) -> str:
        """The text of tokens."""
        return cast(str, await reply(self._unary.detokenize.remote(tuple(tokens))))

    async def health(self) -> Health:
        """How a replica is, and its load. A model that sleeps lacks nothing, and is not woken to say so."""
        if self._sleeps and not RUNNING.of(self._unary.deployment_name):
            return Health(status="running", detail="asleep: the next request starts a replica")
        return cast(Health, await reply(self._unary.health.remote()))

    async def close(self) -> None:
        """Stop the handles' routers: each keeps a watch on the controller."""
        handles: tuple[Any, ...] = (self._unary, self._stream)
        for handle in handles:
            await handle.shutdown_async()


class FleetClient:
    """The fleet's manager behind a Serve handle."""

    def __init__(self, handle: "DeploymentHandle[Any]") -> None:
        self._handle = handle

    async def claim(self, name: str, holder: str, *, wait_s: float | None = None) -> Claim:
        """The right to use a model."""
        return cast(Claim, await reply(self._handle.claim.remote(name, holder, wait_s=wait_s)))

    async def renew(self, uses: tuple[Using, ...]) -> tuple[str, ...]:
        """Still using these."""
        return cast("tuple[str, ...]", await reply(self._handle.renew.remote(uses)))

    async def release(self, name: str, holder: str, *, keep_alive_s: float | None) -> None:
        """Nothing more for a model."""
        await reply(self._handle.release.remote(name, holder, keep_alive_s=keep_alive_s))

    async def load(self, name: str, *, pin: bool | None, keep_alive_s: float | None) -> LoadedModel:
        """Load a model and keep it."""
        return cast(LoadedModel, await reply(self._handle.load.remote(name, pin=pin, keep_alive_s=keep_alive_s)))

    async def unload(self, name: str, *, force: bool) -> None:
        """Unload a model."""
        await reply(self._handle.unload.remote(name, force=force))

    async def loaded(self) -> tuple[LoadedModel, ...]:
        """What is loaded or on its way."""
        return cast("tuple[LoadedModel, ...]", await reply(self._handle.loaded.remote()))

    async def changed(self, after: int, timeout_s: float) -> tuple[ModelEvent, ...]:
        """What has happened since."""
        return cast("tuple[ModelEvent, ...]", await reply(self._handle.changed.remote(after, timeout_s)))


class EmbedderClient:
    """The embedding model behind a Serve handle."""

    def __init__(self, handle: "DeploymentHandle[Any]") -> None:
        self._handle = handle

    async def card(self) -> ModelCard:
        """What the model is and can do."""
        return cast(ModelCard, await reply(self._handle.card.remote()))

    async def embed(self, call: EmbeddingCall) -> Embeddings:
        """Vectors in the order of the inputs."""
        return cast(Embeddings, await reply(self._handle.embed.remote(call)))

    async def tokenize(self, call: TokenizeCall) -> Tokenized:
        """The tokens of a text."""
        return cast(Tokenized, await reply(self._handle.tokenize.remote(call)))

    async def detokenize(self, tokens: Sequence[int]) -> str:
        """The text of tokens."""
        return cast(str, await reply(self._handle.detokenize.remote(tuple(tokens))))


class ChunkingEmbedderClient(EmbedderClient):
    """The embedding model as the retriever sees it: it cuts documents too, with its own tokenizer."""

    async def cut_many(self, documents: Sequence[Uncut]) -> tuple[tuple[Chunk, ...] | HeliostatError, ...]:
        """Each document's chunks, in order, or why it has none."""
        call = self._handle.cut_many.remote(tuple(documents))
        return cast("tuple[tuple[Chunk, ...] | HeliostatError, ...]", await reply(call))


class RerankerClient:
    """A cross-encoder behind a Serve handle."""

    def __init__(self, handle: "DeploymentHandle[Any]", *, asleep: ModelCard | None = None) -> None:
        """asleep: what is told of one that may have no replica, while it has none."""
        self._handle = handle
        self._asleep = asleep

    async def card(self) -> ModelCard:
        """What the model is and can do; one that sleeps is not woken to say so."""
        if self._asleep is not None and not self._awake():
            return self._asleep
        return cast(ModelCard, await reply(self._handle.card.remote()))

    async def score(self, call: ScoreCall) -> Scores:
        """The scores of the pairs, in their order."""
        return cast(Scores, await reply(self._handle.score.remote(call)))

    async def health(self) -> Health:
        """Whether it answers. One that sleeps lacks nothing."""
        if self._asleep is not None and not self._awake():
            return Health(status="running", detail="asleep: the next request starts a replica")
        await self.card()
        return Health(status="running")

    def _awake(self) -> bool:
        return bool(RUNNING.of(self._handle.deployment_name))


class RetrieverClient:
    """The retriever behind a Serve handle."""

    def __init__(self, handle: "DeploymentHandle[Any]") -> None:
        self._handle = handle

    async def add(
        self,
        *,
        source: str,
        content: bytes,
        collection: str | None = None,
        tags: tuple[str, ...] = (),
        metadata: Mapping[str, MetadataValue] = NO_METADATA,
    ) -> Document:
        """Store one document."""
        call = self._handle.add.remote(
            source=source, content=content, collection=collection, tags=tags, metadata=dict(metadata)
        )
        return cast(Document, await reply(call))

    async def add_many(
        self,
        files: Sequence[NewDocument],
        collection: str | None = None,
        *,
        tags: tuple[str, ...] = (),
        metadata: Mapping[str, MetadataValue] = NO_METADATA,
    ) -> tuple[Added, ...]:
        """Store several documents in one pass."""
        call = self._handle.add_many.remote(tuple(files), collection, tags=tags, metadata=dict(metadata))
        return cast("tuple[Added, ...]", await reply(call))

    async def documents(self, collection: str | None = None) -> tuple[Document, ...]:
        """All stored documents, newest first."""
        return cast("tuple[Document, ...]", await reply(self._handle.documents.remote(collection)))

    async def document(self, document_id: str, collection: str | None = None) -> Document:
        """One document."""
        return cast(Document, await reply(self._handle.document.remote(document_id, collection)))

    async def chunks(
        self, document_id: str, collection: str | None = None, *, first: int = 0, limit: int = 100
    ) -> tuple[Chunk, ...]:
        """A document's chunks in order."""
        call = self._handle.chunks.remote(document_id, collection, first=first, limit=limit)
        return cast("tuple[Chunk, ...]", await reply(call))

    async def annotate(
        self,
        document_id: str,
        collection: str | None = None,
        *,
        tags: tuple[str, ...] | None,
        metadata: Mapping[str, MetadataValue] | None,
    ) -> Document:
        """Set a document's tags and metadata."""
        given = None if metadata is None else dict(metadata)
        call = self._handle.annotate.remote(document_id, collection, tags=tags, metadata=given)
        return cast(Document, await reply(call))

    async def remove(self, document_id: str, collection: str | None = None) -> Document:
        """Forget one document."""
        return cast(Document, await reply(self._handle.remove.remote(document_id, collection)))

    async def search(self, call: SearchCall) -> tuple[Passage, ...]:
        """The best passages, best first."""
        return cast("tuple[Passage, ...]", await reply(self._handle.search.remote(call)))

    async def collections(self) -> tuple[CollectionCard, ...]:
        """All collections, by name."""
        return cast("tuple[CollectionCard, ...]", await reply(self._handle.collections.remote()))

    async def remove_collection(self, collection: str) -> None:
        """Forget a collection."""
        await reply(self._handle.remove_collection.remote(collection))

    async def reindex(self, collection: str | None = None) -> int:
        """Write a collection's index anew."""
        return cast(int, await reply(self._handle.reindex.remote(collection)))

    async def health(self) -> Health:
        """How the vector store and the retriever are."""
        return cast(Health, await reply(self._handle.health.remote()))


def _towards(handle: Any, method: str, call: ChatCall) -> Any:
    """The method of a handle, towards the replica that such calls go to; it costs no more than the method alone."""
    if not call.affinity:
        return getattr(handle, method)
    return handle.options(method_name=method, session_id=call.affinity)


async def reply(response: Any) -> Any:
    """What a handle's call returns; who cancels it stops it there. Raises the errors of this house alone."""
    try:
        return await response
    except asyncio.CancelledError:
        response.cancel()  # awaiting it alone leaves the replica at work for nobody
        raise
    except Exception as error:  # the border of the process: everything is translated here, once
        raise translate(error) from error
