"""Models that look as if they were always there: the first request for one has it loaded."""

import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from dataclasses import replace
from functools import partial

from pydantic_core import from_json, to_json

from cluster import catalog
from cluster.types import Capabilities, ChatCall, Health, ModelCard, Task, TokenizeCall, Tokenized
from deployments.clients import ChatModel
from deployments.gateway.models.claims import Claims
from deployments.gateway.models.use import current

LISTED_S = 1.0  # how long a listing of what may be loaded is believed by those that do not find their model in it


class OnDemandModel:
    """A chat model that is loaded while it is used, and a while longer. name: the fleet's; asked: the client's."""

    def __init__(self, name: str, claims: Claims, *, asked: str) -> None:
        self._name = name
        self._claims = claims
        self._asked = asked

    async def card(self) -> ModelCard:
        """What the model is and can do, once it is loaded."""
        async with self._using(kept=False) as model:  # a chat may follow, for which it must still be there
            return await model.card()

    async def chat(self, call: ChatCall) -> bytes:
        """One `chat.completion`, as JSON."""
        async with self._using() as model:
            return await model.chat(self._named(call))

    async def stream(self, call: ChatCall) -> AsyncIterator[bytes]:
        """Server-sent events; closing the iterator stops the generation."""
        async with self._using() as model, aclosing(model.stream(self._named(call))) as items:  # type: ignore[type-var]
            async for item in items:
                yield item

    async def tokenize(self, call: TokenizeCall) -> Tokenized:
        """The tokens of a text, or of messages in the model's template."""
        async with self._using(kept=False) as model:
            return await model.tokenize(call)

    async def detokenize(self, tokens: Sequence[int]) -> str:
        """The text of tokens."""
        async with self._using(kept=False) as model:
            return await model.detokenize(tokens)

    async def health(self) -> Health:
        """Of a replica where it is loaded; a model that is not loaded lacks nothing."""
        if not self._claims.holds(self._name):
            return Health(status="running", detail="loaded when it is asked for")
        async with self._claims.using(self._name) as model:
            return await model.health()

    @asynccontextmanager
    async def _using(self, *, kept: bool = True) -> AsyncIterator[ChatModel]:
        """The model, loaded; kept as long afterwards as this context's request says, or as long as by default.

        That is how Ollama has it: the last request decides, also one that says nothing.
        """
        use, claims, keep_alive_s = current(), self._claims, None
        if kept:
            keep_alive_s = claims.keep_alive_s if use.keep_alive_s is None else use.keep_alive_s
        left_s = max(0.0, claims.wait_s - use.load_s)
        async with AsyncExitStack() as stack:
            using = claims.using(self._name, keep_alive_s=keep_alive_s, wait_s=left_s)
            if claims.holds(self._name):
                model = await stack.enter_async_context(using)
            else:
                with use.waiting(partial(claims.progress, self._name)):
                    model = await stack.enter_async_context(using)
            yield model

    def _named(self, call: ChatCall) -> ChatCall:
        """An engine knows its model by one name, clients may know it by several."""
        if self._asked == self._name:
            return call
        return replace(call, body=to_json({**from_json(call.body), "model": self._name}))


class Available(Mapping[str, ChatModel]):
    """The models that may be asked for by name. Iterating gives those that are always loaded.

    listed: what may be loaded beside them, a card for each by all its names; it takes some milliseconds.
    asleep: the card of one that is always there but has no replica now, which asking it would start.
    """

    def __init__(
        self,
        always: Mapping[str, ChatModel],
        claims: Claims,
        listed: Callable[[], Mapping[str, ModelCard]],
        *,
        asleep: Callable[[str], ModelCard | None] = lambda _: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._always = always
        self._claims = claims
        self._list = listed
        self._asleep = asleep
        self._clock = clock
        self._listed: Mapping[str, ModelCard] = {}
        self._listed_at = -LISTED_S
        self._models: dict[str, OnDemandModel] = {}

    def __getitem__(self, name: str) -> ChatModel:
        if name in self._always:
            return self._always[name]
        card = self._card(name)
        if card is None:
            raise KeyError(name)
        if name not in self._models:
            self._models[name] = OnDemandModel(card.id, self._claims, asked=name)
        return self._models[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._always)

    def __len__(self) -> int:
        return len(self._always)

    def __contains__(self, name: object) -> bool:
        return name in self._always or (isinstance(name, str) and self._card(name) is not None)

    def loadable(self) -> tuple[ModelCard, ...]:
        """What may be loaded beside those that are always there. What can't be known of it is empty."""
        self.look()
        return tuple({card.id: card for card in self._listed.values() if card.id not in self._always}.values())

    async def card(self, name: str) -> ModelCard | None:
        """The card of a model by any of its names; asking for it loads nothing. None where there is none."""
        if name in self._always:
            return self._asleep(name) or await self._always[name].card()
        card = self._card(name)
        if card is None or not self._claims.holds(card.id):
            return card
        return await self[name].card()

    def name_of(self, name: str) -> str | None:
        """What the fleet calls the model of that name; None where there is none."""
        if name in self._always:
            return name
        card = self._card(name)
        return None if card is None else card.id

    async def let_go(self, name: str) -> None:
        """Have a loaded model go as soon as nobody uses it. name: the fleet's."""
        await self._claims.let_go(name)

    async def begin(self, name: str) -> bool:
        """Whether a model is there now; else its load begins, and others may answer meanwhile."""
        card = None if name in self._always else self._card(name)
        return card is None or await self._claims.begin(card.id)

    async def tell(self) -> None:
        """Have the fleet know at once what is used here."""
        await self._claims.tell()

    def watch(self) -> None:
        """Go on telling the fleet what is used here; on a running loop."""
        self._claims.watch()

    async def close(self) -> None:
        """Stop whatever goes on here."""
        await self._claims.close()

    def nearest(self, name: str, may_ask: Callable[[str], bool]) -> list[str]:
        """The names that somebody may have meant."""
        return catalog.nearest(name, [one for one in {*self._always, *self._listed} if may_ask(one)])

    def _card(self, name: str) -> ModelCard | None:
        if name not in self._listed:  # it may have been pulled a moment ago
            self.look()
        return self._listed.get(name)

    def look(self) -> None:
        """List what may be loaded, unless that was done a moment ago."""
        now = self._clock()
        if now - self._listed_at >= LISTED_S:
            self._listed, self._listed_at = self._list(), now


async def begun(models: Mapping[str, ChatModel], name: str) -> bool:
    """Whether a model is there now; one that has to be loaded first begins to load."""
    return not isinstance(models, Available) or await models.begin(name)


async def card_of(models: Mapping[str, ChatModel], name: str) -> ModelCard:
    """The card of a model that is always there, for a list: a model that sleeps is not woken for it."""
    card = await models.card(name) if isinstance(models, Available) else None
    return card or await models[name].card()


def unloaded(
    name: str,
    *,
    engine: str,
    context_length: int,
    images: bool,
    memory_gib: float | None,
    task: Task = Task.CHAT,
) -> ModelCard:
    """The card of a model that is not loaded: what its description says of it."""
    capabilities = Capabilities(task=task, context_length=context_length, images=images)
    return ModelCard(
        id=name, engine=engine, revision="", created=0, capabilities=capabilities, memory_gib=memory_gib
    )
