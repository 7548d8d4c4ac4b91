"""Typed faces of the parts that the gateway talks to.

The rooms of `deployments` never import each other: they see one another through these protocols, receive
what `handles.py` puts behind them in `app.py`, and tests pass fakes.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

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
from cluster.engines.remote.providers import Providers
from cluster.types import (
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

NO_METADATA: Mapping[str, MetadataValue] = {}


class ChatModel(Protocol):
    """A served chat model."""

    async def card(self) -> ModelCard:
        """What the model is and can do."""
        ...

    async def chat(self, call: ChatCall) -> bytes:
        """One `chat.completion`, as JSON."""
        ...

    def stream(self, call: ChatCall) -> AsyncIterator[bytes]:
        """Server-sent events, several to an item where they came faster than they left."""
        ...

    async def tokenize(self, call: TokenizeCall) -> Tokenized:
        """The tokens of a text, or of messages in the model's template."""
        ...

    async def detokenize(self, tokens: Sequence[int]) -> str:
        """The text of tokens."""
        ...

    async def health(self) -> Health:
        """How a replica is, and its load: `running` is the calls it is answering."""
        ...


class Embedder(Protocol):
    """The served embedding model."""

    async def card(self) -> ModelCard:
        """What the model is and can do."""
        ...

    async def embed(self, call: EmbeddingCall) -> Embeddings:
        """Vectors in the order of the inputs."""
        ...

    async def tokenize(self, call: TokenizeCall) -> Tokenized:
        """The tokens of a text."""
        ...

    async def detokenize(self, tokens: Sequence[int]) -> str:
        """The text of tokens."""
        ...


class Reranker(Protocol):
    """A served cross-encoder."""

    async def card(self) -> ModelCard:
        """What the model is and can do."""
        ...

    async def score(self, call: ScoreCall) -> Scores:
        """The scores of the pairs, in their order."""
        ...

    async def health(self) -> Health:
        """Whether it answers."""
        ...


class Retriever(Protocol):
    """The documents: stored in collections, and searched.

    collection, in all methods: its physical name, or None for the default one. The first document makes it; to read
    one that has none finds nothing, as whether a name is right is for who gives the names to say.
    """

    async def add(
        self,
        *,
        source: str,
        content: bytes,
        collection: str | None = None,
        tags: tuple[str, ...] = (),
        metadata: Mapping[str, MetadataValue] = NO_METADATA,
    ) -> Document:
        """Store one document: parse, chunk, embed, write.

        The same bytes again keep their chunks, take the new name, the new tags beside the old, and the metadata
        over the old. Raises what its reader raises, and EmbedderMismatch.
        """
        ...

    async def add_many(
        self,
        files: Sequence[NewDocument],
        collection: str | None = None,
        *,
        tags: tuple[str, ...] = (),
        metadata: Mapping[str, MetadataValue] = NO_METADATA,
    ) -> tuple[Added, ...]:
        """Store several documents in one pass, which costs far less than one after the other.

        Returns of each what `add` would return or raise, in their order; of one name the last stands. Raises
        Unavailable where a part that all need is away: what was stored by then is found when it is sent again.
        """
        ...

    async def documents(self, collection: str | None = None) -> tuple[Document, ...]:
        """All stored documents, newest first."""
        ...

    async def document(self, document_id: str, collection: str | None = None) -> Document:
        """One document. Raises DocumentNotFound."""
        ...

    async def chunks(
        self, document_id: str, collection: str | None = None, *, first: int = 0, limit: int = 100
    ) -> tuple[Chunk, ...]:
        """A document's chunks in order, from the ordinal `first`. Raises DocumentNotFound."""
        ...

    async def annotate(
        self,
        document_id: str,
        collection: str | None = None,
        *,
        tags: tuple[str, ...] | None,
        metadata: Mapping[str, MetadataValue] | None,
    ) -> Document:
        """Set a document's tags and metadata in place of the old; None keeps them. Raises DocumentNotFound."""
        ...

    async def remove(self, document_id: str, collection: str | None = None) -> Document:
        """Forget one document under all its names. Raises DocumentNotFound."""
        ...

    async def search(self, call: SearchCall) -> tuple[Passage, ...]:
        """The best passages, best first. Raises BadRequest, EmbedderMismatch."""
        ...

    async def collections(self) -> tuple[CollectionCard, ...]:
        """All collections that hold something, by name."""
        ...

    async def remove_collection(self, collection: str) -> None:
        """Forget a collection and all that is in it. Raises CollectionNotFound."""
        ...

    async def reindex(self, collection: str | None = None) -> int:
        """Write a collection's index anew from its vector files; how many chunks. Raises CollectionNotFound."""
        ...

    async def health(self) -> Health:
        """How the vector store and the retriever are."""
        ...


class Fleet(Protocol):
    """The models that come and go: one manager for the whole cluster."""

    async def claim(self, name: str, holder: str, *, wait_s: float | None = None) -> Claim:
        """The right to use a model, which is loaded first where it is not. wait_s: how long to wait for that."""
        ...

    async def renew(self, uses: tuple[Using, ...]) -> tuple[str, ...]:
        """Still using these models, as these holders. Returns those that may not be used any more."""
        ...

    async def release(self, name: str, holder: str, *, keep_alive_s: float | None) -> None:
        """Nothing more for a model."""
        ...

    async def load(self, name: str, *, pin: bool | None, keep_alive_s: float | None) -> LoadedModel:
        """Load a model and keep it."""
        ...

    async def unload(self, name: str, *, force: bool) -> None:
        """Unload a model; returns when its memory is free."""
        ...

    async def loaded(self) -> tuple[LoadedModel, ...]:
        """What is loaded or on its way."""
        ...

    async def changed(self, after: int, timeout_s: float) -> tuple[ModelEvent, ...]:
        """What has happened since the event of that number; waits for something to happen."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Backends:
    """What a gateway stands in front of. embedder, retriever: None where no embedding model is configured.

    fleet: None where no model comes or goes. providers: None where all models are named in the config. rerankers:
    by model id.
    """

    models: Mapping[str, ChatModel]
    embedder: Embedder | None = None
    retriever: Retriever | None = None
    fleet: Fleet | None = None
    providers: Providers | None = None
    rerankers: Mapping[str, Reranker] = field(default_factory=dict)
