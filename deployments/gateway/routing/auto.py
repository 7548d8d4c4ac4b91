"""The model name `auto`: what is known of all models just now is gathered, the policy chooses, and it is told why.

`auto_policy` decides; here nothing is. Nobody waits long for facts: a model that does not tell its card within a
second is passed over, and the fleet's table is a second old at most.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from time import monotonic
from typing import Any, Generic, TypeVar

import psutil
from pydantic_core import from_json, to_json

from cluster import catalog
from cluster.catalog import GIB
from cluster.engines.remote.provider import Provider
from cluster.engines.remote.providers import Providers, card_of
from cluster.errors import HeliostatError
from cluster.settings.routing import AUTO
from cluster.settings.tree import Settings
from cluster.types import LoadedModel, ModelCard, ModelState, Priority, Task
from deployments.clients import Backends
from deployments.gateway.cards import Cards
from deployments.gateway.limits.gate import Gate
from deployments.gateway.models.on_demand import Available
from deployments.gateway.principal import Principal
from deployments.gateway.providers.chosen import Chosen
from deployments.gateway.routing import journey
from deployments.gateway.routing.auto_need import need_of, nobody
from deployments.gateway.routing.auto_policy import (
    Candidate,
    Choice,
    Need,
    Standing,
    choose,
    room_for,
)
from deployments.gateway.routing.event_log import EventLog
from deployments.gateway.routing.router import Router
from deployments.gateway.wire import ChatRequest, CompletionRequest

logger = logging.getLogger(__name__)

Wanted = TypeVar("Wanted", ChatRequest, CompletionRequest)

LOADED_S = 1.0  # how old the fleet's table may be
DISK_S = 5.0  # and what is known of the disk: a model that was pulled a moment ago is chosen a moment later
TOLD = 32  # candidates that an event names
MOST = 200  # models of one provider that are considered


@dataclass(frozen=True, slots=True, kw_only=True)
class Pick:
    """The model that `auto` stands for in one request. others: who may answer in its place."""

    model: str
    others: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Named(Generic[Wanted]):
    """A request that names its model, by the client's word or by ours. body: its JSON; wanted: the same, parsed."""

    body: bytes
    wanted: Wanted
    others: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Facts:
    """What was gathered. unloaded: cards of what may be loaded; loaded: the fleet's table. free_gib: of memory."""

    cards: dict[str, ModelCard | HeliostatError] = field(default_factory=dict)
    unloaded: dict[str, ModelCard] = field(default_factory=dict)
    loaded: dict[str, LoadedModel] = field(default_factory=dict)
    free_gib: float | None = None


class Auto:
    """Chooses. card: the card of a model that is always there, or of a provider's."""

    def __init__(
        self,
        settings: Settings,
        backends: Backends,
        *,
        router: Router,
        gate: Gate,
        card: Callable[[str], Awaitable[ModelCard]],
        chosen: Chosen | None = None,
    ) -> None:
        self._settings = settings
        self._backends = backends
        self._router = router
        self._gate = gate
        self._providers = backends.providers or Providers(settings)
        self.cards = Cards(card)
        self.chosen = chosen or Chosen(None)
        self._loaded: dict[str, LoadedModel] = {}
        self._loaded_at: float | None = None
        self._on_disk: dict[str, ModelCard] = {}
        self._read_at: float | None = None
        self._local_first = not settings.routing.auto.models  # else the operator has said which are preferred
        self._described = {model.id: model for model in settings.chat_models}

    def means(self, model: str) -> bool:
        """Whether a name leaves the choice to us. A model that is really called so goes before."""
        return model == AUTO and self._settings.routing.auto.enabled and AUTO not in self._backends.models

    async def named(
        self, wanted: Wanted, body: bytes, principal: Principal, *, request_id: str, priority: Priority
    ) -> Named[Wanted]:
        """The request with the name of its model. Raises as `of` does where it leaves that to us."""
        if not self.means(wanted.model):
            return Named(body=body, wanted=wanted)
        pick = await self.of(need_of(wanted), principal, request_id=request_id, priority=priority)
        return Named(
            body=to_json({**from_json(body), "model": pick.model}),
            wanted=wanted.model_copy(update={"model": pick.model}),
            others=pick.others,
        )

    async def of(
        self,
        need: Need,
        principal: Principal,
        *,
        request_id: str | None = None,
        priority: Priority = Priority.INTERACTIVE,
        provider: str | None = None,
    ) -> Pick:
        """The model for what is needed. provider: only of its models; None: of the one that was switched to.

        Raises ModelNotFound where there is no model for who asks, NoCapableModel and ContextTooLong.
        """
        names, only = await self._names(provider)
        names = [name for name in names if principal.may_ask(name)]
        facts = await self._gathered(names)
        candidates = [one for name in names if (one := self._candidate(name, facts, priority)) is not None]
        choice = choose(need, candidates, load=self._settings.routing.auto.load)
        known = {one.name for one in candidates}
        unknown = [name for name in names if name not in known]  # of routing.auto.models, and nobody's here
        self._tell(need, choice, candidates, request_id, only, unknown)
        if choice.chosen is None:
            raise nobody(need, choice, only)
        return Pick(model=choice.chosen, others=choice.others)

    @property
    def events(self) -> EventLog:
        """Where decisions are told."""
        return self._router.events

    def id_of(self, name: str) -> str | None:
        """The id of the chat model of that name, loaded or not; None where there is none."""
        models, found = self._backends.models, self._providers.find(name)
        if name not in models or (found is not None and found[0].embeds(found[1])):
            return None
        return models.name_of(name) if isinstance(models, Available) else name

    async def names(self) -> list[str]:
        """The models that `auto` may stand for, the preferred first."""
        names, _ = await self._names(None)
        return names

    async def _names(self, provider: str | None) -> tuple[list[str], str | None]:
        """The candidates' names, the preferred first; and the provider that they are narrowed to."""
        models, auto, providers = self._backends.models, self._settings.routing.auto, self._providers
        choice = None if provider is not None else await self.chosen.now()
        if choice is not None and choice.model is not None:
            return [choice.model], choice.provider
        only = provider or (choice.provider if choice is not None else None)
        names = [self.id_of(name) or name for name in auto.models] or [*models, *await self._loadable()]
        if only is None:
            return names, None
        own = [name for name in names if providers.of(name) == only]
        listed = [card.id for card in providers.cards(only) if card.capabilities.task is Task.CHAT]
        return list(dict.fromkeys([*own, *(listed[:MOST] if not own or not auto.models else ())])), only

    async def _loadable(self) -> dict[str, ModelCard]:
        """What may be loaded, by id, as the disk was a moment ago; reading it would hold up all requests."""
        models, now = self._backends.models, monotonic()
        if isinstance(models, Available) and (self._read_at is None or now - self._read_at >= DISK_S):
            self._read_at = now
            self._on_disk = {card.id: card for card in await asyncio.to_thread(models.loadable)}
        return self._on_disk

    async def _gathered(self, names: Sequence[str]) -> _Facts:
        unloaded = {name: card for name, card in (await self._loadable()).items() if name in names}
        asked = [name for name in names if name not in unloaded and self._is_asked(name)]
        if not unloaded:
            return _Facts(cards=await self.cards.of(asked))
        cards, loaded = await asyncio.gather(self.cards.of(asked), self._table())
        free_gib = psutil.virtual_memory().available / GIB
        return _Facts(cards=cards, unloaded=unloaded, loaded=loaded, free_gib=free_gib)

    def _is_asked(self, name: str) -> bool:
        """Whether a model is asked for its card. One that has no replica until it has to answer must not wake."""
        model = self._described.get(name)
        sleeps = model is not None and model.replicas.min == 0 and not self._router.running(name)
        return name in self._backends.models and not sleeps and self._providers.find(name) is None

    async def _table(self) -> dict[str, LoadedModel]:
        """What the fleet has loaded, as it said a moment ago."""
        now = monotonic()
        if self._backends.fleet is not None and (self._loaded_at is None or now - self._loaded_at >= LOADED_S):
            self._loaded_at = now
            try:
                async with asyncio.timeout(LOADED_S):
                    self._loaded = {one.id: one for one in await self._backends.fleet.loaded()}
            except (TimeoutError, HeliostatError) as error:
                logger.warning("what is loaded is not known anew: %s", error)
        return self._loaded

    def _candidate(self, name: str, facts: _Facts, priority: Priority) -> Candidate | None:
        """None for what is no chat model here: a name of the settings that nobody has on disk."""
        if (provided := self._providers.find(name)) is not None:
            return self._provided(name, *provided)
        found = facts.cards.get(name)
        if isinstance(found, ModelCard):
            return self._known(name, found, priority) if found.capabilities.task is Task.CHAT else None
        if found is not None:
            return Candidate(name=name, away=found.code, remote=self._remote(name))
        card = facts.unloaded.get(name)
        if card is None and name not in self._described:
            return None
        return self._unloaded(name, card, facts)

    def _known(self, name: str, card: ModelCard, priority: Priority) -> Candidate:
        able, refusal = card.capabilities, self._router.breakers.refusal(name)
        obstacle = self._router.obstacle(name, priority)
        away = refusal.code if refusal is not None else obstacle[0] if obstacle is not None else None
        return Candidate(
            name=name,
            context_length=able.context_length,
            images=able.images,
            tools="tools" in able.parameters,
            parameters=able.parameters,
            raw=able.completion,
            away=away,
            waits=self._gate.predicted_wait_s(name, priority) != 0,
            load=self._gate.load(name),
            remote=self._remote(name),
        )

    def _provided(self, name: str, provider: Provider, model: str) -> Candidate | None:
        """A model of a provider, as that lists it."""
        if provider.embeds(model):
            return None
        facts, refusal = provider.facts(model), self._router.breakers.refusal(name)
        unlisted = provider.state.reason if provider.state.listed_at is None else None
        return Candidate(
            name=name,
            context_length=facts.context_length,
            images=facts.images,
            tools=facts.tools,
            parameters=card_of(provider, model).capabilities.parameters,
            raw=frozenset(),
            away=refusal.code if refusal is not None else unlisted,
            load=provider.running / provider.settings.max_ongoing,
            remote=self._local_first,
        )

    def _unloaded(self, name: str, card: ModelCard | None, facts: _Facts) -> Candidate:
        """A model that is not loaded, or loaded where this gateway has no claim on it: what is said of it."""
        model = self._described.get(name)
        entry = catalog.find((model.catalog if model else None) or name)
        able = set(entry.capabilities) if entry else set()
        images = True if card is not None and card.capabilities.images else None
        context = card.capabilities.context_length if card is not None else model.context_length if model else None
        return Candidate(
            name=name,
            context_length=context or None,
            images="vision" in able if entry else images,
            tools="tools" in able if entry else None,
            standing=self._standing(name, card, facts),
            away=refusal.code if (refusal := self._router.breakers.refusal(name)) is not None else None,
            waits=self._gate.predicted_wait_s(name, Priority.INTERACTIVE) != 0,
            load=self._gate.load(name),
        )

    def _standing(self, name: str, card: ModelCard | None, facts: _Facts) -> Standing:
        loaded = facts.loaded.get(name)
        if loaded is not None and loaded.state is ModelState.READY:
            return Standing.READY
        if loaded is not None and loaded.state is ModelState.LOADING:
            return Standing.LOADING
        if card is None:  # it sleeps: its place is kept for it
            return Standing.UNLOADED
        room = room_for(
            card.memory_gib,
            list(facts.loaded.values()),
            most=self._settings.hub.max_cached_models,
            budget_gib=self._settings.fleet.memory_gib,
            free_gib=facts.free_gib,
        )
        return Standing.UNLOADED if room else Standing.CROWDED

    def _remote(self, name: str) -> bool:
        model = self._described.get(name)
        return self._local_first and model is not None and self._settings.device_of(model) == "remote"

    def _tell(
        self,
        need: Need,
        choice: Choice,
        candidates: Sequence[Candidate],
        request_id: str | None,
        only: str | None,
        unknown: Sequence[str],
    ) -> None:
        """One event with all that was considered; and the route's header."""
        if choice.chosen is not None and (this := journey.current()) is not None:
            this.route = f"{AUTO} -> {choice.chosen}; reason={choice.reason}"
        facts = {one.name: one for one in candidates}
        told = [
            {
                "model": verdict.name,
                "passed_over": verdict.passed_over,
                "state": facts[verdict.name].standing.name.lower(),
                "load": round(facts[verdict.name].load, 2),
            }
            for verdict in choice.verdicts[:TOLD]
        ]
        inputs: dict[str, Any] = {
            "asked": AUTO,
            "needs": {"images": need.images, "parameters": sorted(need.parameters), "tokens": need.tokens},
            "decided_by": choice.reason,
            "candidates": told,
            "more": max(len(choice.verdicts) - TOLD, 0),
            **({} if only is None else {"provider": only}),
            **({"unknown": list(unknown[:TOLD])} if unknown else {}),
        }
        self._router.events.record("route", choice.chosen or AUTO, AUTO, request_id=request_id, **inputs)
