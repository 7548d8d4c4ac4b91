"""Models of providers as chat models: asked from here, since a model that runs elsewhere needs no replica."""

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import aclosing

from cluster.engines.remote.ollama import OllamaEngine
from cluster.engines.remote.openai import OpenAIEngine
from cluster.engines.remote.provider import Provider
from cluster.engines.remote.providers import Providers, card_of
from cluster.errors import BadRequest
from cluster.types import ChatCall, Health, ModelCard, Task, TokenizeCall, Tokenized
from deployments.clients import ChatModel


class ProvidedModel:
    """A model of a provider. name: the provider's."""

    def __init__(self, provider: Provider, name: str) -> None:
        self._provider = provider
        self._name = name

    @property
    def running(self) -> int:
        """Requests that are with its provider now."""
        return self._provider.running

    async def card(self) -> ModelCard:
        """What the model is and can do. Raises ProviderAway before its provider's first list."""
        engine = await self._provider.engine(self._name)
        listed = card_of(self._provider, self._name)
        able = listed.capabilities if listed.capabilities.task is Task.EMBEDDING else engine.capabilities
        return ModelCard(
            id=listed.id, engine=listed.engine, revision=engine.revision, created=listed.created, capabilities=able
        )

    async def chat(self, call: ChatCall) -> bytes:
        """One `chat.completion`, as JSON."""
        engine = await self._engine()
        with self._provider.asking():
            return await engine.chat(call)

    async def stream(self, call: ChatCall) -> AsyncIterator[bytes]:
        """Server-sent events; closing the iterator stops the generation."""
        engine = await self._engine()
        with self._provider.asking():
            async with aclosing(engine.stream(call)) as items:
                async for item in items:
                    yield item

    async def tokenize(self, call: TokenizeCall) -> Tokenized:
        """Refused: the tokenizer is at the provider."""
        return await (await self._engine()).tokenize(call)

    async def detokenize(self, tokens: Sequence[int]) -> str:
        """Refused: the tokenizer is at the provider."""
        return await (await self._engine()).detokenize(tokens)

    async def health(self) -> Health:
        """Whether the provider lists its models, and how many requests are with it."""
        state = self._provider.state
        figures = {"running": float(self._provider.running)}
        return Health(status=state.reason or "running", detail=state.detail, figures=figures)

    async def _engine(self) -> OpenAIEngine | OllamaEngine:
        if self._provider.embeds(self._name):
            message = f"{self._provider.id}/{self._name} is an embedding model"
            raise BadRequest(message, hint="ask a chat model", param="model")
        return await self._provider.engine(self._name)


class Provided(Mapping[str, ChatModel]):
    """The models that are always there, and by their names those of providers, which iterating does not give."""

    def __init__(self, always: Mapping[str, ChatModel], providers: Providers) -> None:
        self._always = always
        self._providers = providers

    def __getitem__(self, name: str) -> ChatModel:
        if name in self._always:
            return self._always[name]
        found = self._providers.find(name)
        if found is None:
            raise KeyError(name)
        return ProvidedModel(*found)

    def __iter__(self) -> Iterator[str]:
        return iter(self._always)

    def __len__(self) -> int:
        return len(self._always)

    def __contains__(self, name: object) -> bool:
        return name in self._always or (isinstance(name, str) and self._providers.find(name) is not None)
