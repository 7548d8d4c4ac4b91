"""What may be asked for: the list of models, of which one that does not answer keeps no other from being listed."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from cluster.engines.remote.providers import Providers
from cluster.errors import HeliostatError
from cluster.settings.routing import AUTO
from cluster.settings.tree import Settings
from cluster.types import Capabilities, ModelCard, Task
from deployments.clients import Backends
from deployments.gateway.cards import Cards
from deployments.gateway.chats import Chats
from deployments.gateway.models.listing import described
from deployments.gateway.models.on_demand import Available, card_of
from deployments.gateway.principal import Principal

READY, UNLOADED, UNAVAILABLE = "ready", "unloaded", "unavailable"


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """A model in the list. state: READY, UNLOADED, or UNAVAILABLE with the code of the reason."""

    card: ModelCard
    provider: str
    state: str = READY
    reason: str | None = None

    @property
    def row(self) -> dict[str, Any]:
        """As `/v1/models` lists it."""
        away = {} if self.reason is None else {"state": self.state, "reason": self.reason}
        return {**listed(self.card), **away}


class ModelList:
    """Lists the models of a gateway."""

    def __init__(self, settings: Settings, backends: Backends, chats: Chats) -> None:
        self._backends = backends
        self._chats = chats
        self._providers = backends.providers or Providers(settings)
        self._settings = {model.id: model for model in settings.models}
        self._embedder = settings.embedding_models[0].id if settings.embedding_models else None
        self._cards = Cards(self._asked)

    async def models(self, may_ask: Callable[[str], bool]) -> list[Listed]:
        """All that somebody may ask for: what is always there, what may be loaded, what providers list."""
        models = self._backends.models
        names = [name for name in models if may_ask(name)]
        if self._backends.embedder is not None and self._embedder is not None and may_ask(self._embedder):
            names.append(self._embedder)
        names += filter(may_ask, self._backends.rerankers)
        found = await self._cards.of(names)
        rows = [self._row(name, found[name]) for name in names]
        rows += [
            Listed(card=card, provider=self._providers.of(card.id), state=UNLOADED)
            for card in (models.loadable() if isinstance(models, Available) else ())
            if may_ask(card.id)
        ]
        return [*rows, *self._provided(may_ask)]

    async def rows(self, may_ask: Callable[[str], bool]) -> list[dict[str, Any]]:
        """The same as `/v1/models` lists it, and `auto` at the end."""
        models = await self.models(may_ask)
        chosen = await self._auto(models)
        return [*(one.row for one in models), *([] if chosen is None else [chosen])]

    async def row(self, name: str, principal: Principal) -> dict[str, Any]:
        """One of them. Raises ModelNotFound, and what a model that does not answer raises."""
        may_ask = principal.may_ask
        if self._chats.auto.means(name) and (row := await self._auto(await self.models(may_ask))) is not None:
            return row
        models = self._backends.models
        if not may_ask(name):
            raise self._chats.unknown(name, principal)
        if isinstance(models, Available) and (card := await models.card(name)) is not None:
            return listed(card)
        if name in models or name == self._embedder or name in self._backends.rerankers:
            return listed(await self._asked(name))
        raise self._chats.unknown(name, principal)

    async def _asked(self, name: str) -> ModelCard:
        if name == self._embedder and self._backends.embedder is not None:
            return await self._backends.embedder.card()
        if name in self._backends.rerankers:
            return await self._backends.rerankers[name].card()
        return await card_of(self._backends.models, name)

    def _row(self, name: str, found: ModelCard | HeliostatError) -> Listed:
        if isinstance(found, ModelCard):
            return Listed(card=found, provider=self._providers.of(name))
        # It is listed all the same: a fallback may answer for it, and clients forget what disappears.
        card = self._chats.last_card(name) or self._unseen(name)
        return Listed(card=card, provider=self._providers.of(name), state=UNAVAILABLE, reason=found.code)

    def _unseen(self, name: str) -> ModelCard:
        model = self._settings.get(name)
        task = Task.RERANK if name in self._backends.rerankers else Task.CHAT
        if model is not None and name != self._embedder:
            return described(model, task)
        task = Task.EMBEDDING if name == self._embedder else task
        able = Capabilities(task=task, context_length=0)
        kind = model.engine.kind if model is not None else ""
        return ModelCard(id=name, engine=kind, revision="", created=0, capabilities=able)

    def _provided(self, may_ask: Callable[[str], bool]) -> Iterator[Listed]:
        for card in self._providers.cards():
            if may_ask(card.id):
                yield Listed(card=card, provider=self._providers.of(card.id))

    async def _auto(self, models: Sequence[Listed]) -> dict[str, Any] | None:
        """What stands for all that `auto` may become; None where it is nothing."""
        auto = self._chats.auto
        if not auto.means(AUTO):
            return None
        names = set(await auto.names())
        cards = [one.card for one in models if one.card.id in names and one.card.capabilities.task is Task.CHAT]
        if not cards:
            return None
        able = [card.capabilities for card in cards]
        return listed(
            ModelCard(
                id=AUTO,
                engine=AUTO,
                revision="",
                created=0,
                capabilities=Capabilities(
                    task=Task.CHAT,
                    context_length=max(one.context_length for one in able),
                    images=any(one.images for one in able),
                    parameters=frozenset().union(*(one.parameters for one in able)),
                ),
            )
        )


def listed(card: ModelCard) -> dict[str, Any]:
    """A card as `/v1/models` shows it."""
    return {
        "id": card.id,
        "object": "model",
        "created": card.created,
        "owned_by": "heliostat",
        "task": str(card.capabilities.task),
        "engine": card.engine,
        "revision": card.revision,
        "max_model_len": card.capabilities.context_length,
        "capabilities": list(card.capabilities.names),
        "memory_gib": None if card.memory_gib is None else round(card.memory_gib, 3),
    }
