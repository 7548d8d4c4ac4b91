"""A provider's embedding model, asked from here."""

import asyncio
from collections.abc import Sequence

from cluster.engines.remote.embedding import RemoteEmbedder
from cluster.engines.remote.provider import Provider
from cluster.engines.remote.providers import card_of
from cluster.types import EmbeddingCall, Embeddings, ModelCard, TokenizeCall, Tokenized


class ProvidedEmbedder:
    """An embedding model of a provider. name: the provider's. Its engine blocks, so it is asked in a thread."""

    def __init__(self, provider: Provider, name: str) -> None:
        self._provider = provider
        self._name = name

    async def card(self) -> ModelCard:
        """What the model is and can do. Raises ProviderAway before its provider's first list."""
        engine = await self._engine()
        listed = card_of(self._provider, self._name)
        return ModelCard(
            id=listed.id,
            engine=listed.engine,
            revision=engine.revision,
            created=listed.created,
            capabilities=engine.capabilities,
        )

    async def embed(self, call: EmbeddingCall) -> Embeddings:
        """Vectors in the order of the inputs."""
        engine = await self._engine()
        with self._provider.asking():
            return await asyncio.to_thread(engine.embed, call.inputs)

    async def tokenize(self, call: TokenizeCall) -> Tokenized:  # noqa: ARG002  # the promise has it
        """Refused: the tokenizer is at the provider."""
        return (await self._engine()).encode("", special=False, strings=False)

    async def detokenize(self, tokens: Sequence[int]) -> str:
        """Refused: the tokenizer is at the provider."""
        return (await self._engine()).decode(tokens)

    async def _engine(self) -> RemoteEmbedder:
        return await self._provider.embedder(self._name)
