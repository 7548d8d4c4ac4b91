"""The embedder as a pipeline uses it: loaded into this process, or the one that is served."""

import uuid
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol, cast

from cluster.batched import batched
from cluster.documents import Chunk, EmbedderIdentity
from cluster.engines.factory import embedding_engine
from cluster.engines.protocol import EmbeddingEngine
from cluster.settings.pipelines import DocumentSettings
from cluster.settings.tree import Settings
from cluster.types import EmbeddingCall, Embeddings, ModelCard
from pipelines.documents.chunker import cut
from pipelines.documents.parsed import ParsedDocument
from pipelines.documents.served import Connect, Served

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

DEPLOYMENT = "Embedder"
MAX_TEXT_BYTES = 2 * 1024**2  # of a document sent to a replica: a message has 4 MiB at most
TEXTS_AT_ONCE = 256  # of one call to a replica


class TooLargeToSend(Exception):
    """A document whose text is more than a message to the served embedder holds."""


class Embedder(Protocol):
    """Cuts documents into chunks and embeds them."""

    @property
    def identity(self) -> EmbedderIdentity:
        """Model, revision, dimensions."""
        ...

    def cut(self, parsed: ParsedDocument, *, document_id: str, source: str) -> tuple[Chunk, ...]:
        """The document's chunks, in order. Raises BadRequest, TooLargeToSend."""
        ...

    def embed(self, texts: Sequence[str]) -> "NDArray[np.float32]":
        """Unit vectors in the order of the texts. Raises as the engine does."""
        ...


class LocalEmbedder:
    """The engine in this process, loaded at its first use: what finds everything unchanged loads no model."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._model = settings.embedding_models[0]
        self._started: EmbeddingEngine | None = None

    @property
    def identity(self) -> EmbedderIdentity:
        """See Embedder."""
        engine = self._engine()
        return EmbedderIdentity(
            model=self._model.id, revision=engine.revision, dimensions=engine.capabilities.dimensions
        )

    def cut(self, parsed: ParsedDocument, *, document_id: str, source: str) -> tuple[Chunk, ...]:
        """See Embedder."""
        engine = self._engine()
        return cut(
            parsed,
            document_id=document_id,
            source=source,
            tokenize=engine.tokenize,
            settings=self._settings.documents,
            model=self._model.id,
            context_length=engine.capabilities.context_length,
        )

    def embed(self, texts: Sequence[str]) -> "NDArray[np.float32]":
        """See Embedder."""
        return self._engine().embed(texts).vectors

    def _engine(self) -> EmbeddingEngine:
        if self._started is None:
            engine = embedding_engine(self._model, self._settings)
            engine.start()
            self._started = engine
        return self._started


class ServedEmbedder:
    """The served embedder: nothing is loaded, and it answers others meanwhile.

    documents: the sizes of chunks; None is what the cluster's config says.
    """

    def __init__(
        self, application: str, connect: Connect | None = None, documents: DocumentSettings | None = None
    ) -> None:
        self._documents = documents
        self._served = Served(application, DEPLOYMENT, connect)
        self._identity: EmbedderIdentity | None = None

    @property
    def identity(self) -> EmbedderIdentity:
        """See Embedder."""
        if self._identity is None:
            self._identity = EmbedderIdentity.of(cast(ModelCard, self._served.call("card")))
        return self._identity

    def cut(self, parsed: ParsedDocument, *, document_id: str, source: str) -> tuple[Chunk, ...]:
        """See Embedder."""
        if len(parsed.text.encode(errors="replace")) > MAX_TEXT_BYTES:
            raise TooLargeToSend
        sizes: dict[str, Any] = {} if self._documents is None else {"documents": self._documents}
        found = self._served.call("cut", parsed, document_id=document_id, source=source, **sizes)
        return cast("tuple[Chunk, ...]", found)

    def embed(self, texts: Sequence[str]) -> "NDArray[np.float32]":
        """See Embedder."""
        import numpy as np

        parts = []
        for part in batched(texts, TEXTS_AT_ONCE):
            call = EmbeddingCall(inputs=tuple(part), request_id=uuid.uuid4().hex)
            parts.append(cast(Embeddings, self._served.call("embed", call)).vectors)
        return np.concatenate(parts)
