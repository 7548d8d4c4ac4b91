"""Chat completions for every API that chats: a request is checked once, then its bytes pass through.

`/v1/chat/completions`, `/v1/responses`, `/v1/messages`, conversations and batches all come through here.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from dataclasses import replace
from functools import partial

from cluster.errors import BadRequest, ModelNotFound, Unavailable, UnsupportedParameter
from cluster.settings.tree import Settings
from cluster.types import CallKind, ChatCall, ModelCard, Priority
from deployments.clients import Backends, ChatModel
from deployments.gateway.cache.answers import Entry
from deployments.gateway.cache.build import Caches
from deployments.gateway.checked import Checked, CheckedChat, CheckedCompletion
from deployments.gateway.honoured import refuse_completion, refuse_unhonoured
from deployments.gateway.limits import usage
from deployments.gateway.limits.gate import Admission, Gate, streamed
from deployments.gateway.metrics import Metrics
from deployments.gateway.model_records.visit import NoRecords, Records, Visit
from deployments.gateway.models.on_demand import begun
from deployments.gateway.parsing import parse
from deployments.gateway.pictures import Pictures, has_addresses
from deployments.gateway.principal import LOCAL, Principal
from deployments.gateway.promoted import Promoted
from deployments.gateway.providers.chosen import Chosen
from deployments.gateway.providers.provided import ProvidedModel
from deployments.gateway.retries import Retries
from deployments.gateway.routing import journey
from deployments.gateway.routing import router as routing
from deployments.gateway.routing.auto import Auto
from deployments.gateway.routing.build import open_router
from deployments.gateway.routing.fallbacks import Scope
from deployments.gateway.routing.hints import Hints
from deployments.gateway.routing.router import Router, Trail
from deployments.gateway.wire import ChatRequest, CompletionRequest

__all__ = ["Chats", "Checked", "CheckedChat", "CheckedCompletion"]

CARDS_TIMEOUT_S = 1.0  # for a hint in an error, which may not keep its reader waiting


class Chats:
    """Checks chat requests against their models, and has them answered."""

    def __init__(
        self,
        backends: Backends,
        settings: Settings,
        *,
        pictures: Pictures | None = None,
        metrics: Metrics | None = None,
        caches: Caches | None = None,
        gate: Gate | None = None,
        router: Router | None = None,
        records: Records | None = None,
        chosen: Chosen | None = None,
        promoted: Promoted | None = None,
    ) -> None:
        """router: made over the same gate; None: one that stores no events. records: where models' are kept."""
        self._models = backends.models
        self.promoted = promoted or Promoted(None)
        self.records = records or NoRecords()
        self.gate = gate or Gate()
        self.caches = caches
        self._cards: dict[str, ModelCard] = {}
        self._stale: set[str] = set()  # models that lost a replica: the next may have other weights
        self.router = router or open_router(settings, gate=self.gate)
        self.retries = Retries(
            metrics=metrics, lost=self._stale.add, breakers=self.router.breakers, events=self.router.events
        )
        self.auto = Auto(settings, backends, router=self.router, gate=self.gate, card=self._card, chosen=chosen)
        self._pictures = pictures or Pictures(settings.limits)
        self._hints = Hints(settings)
        self._limits = settings.limits
        embedders = {model.id: ("an embedding", "embeddings") for model in settings.embedding_models}
        self._others = embedders | dict.fromkeys(backends.rerankers, ("a reranking", "rerank"))
        self.timeout_s = settings.limits.generation_timeout_ms / 1000

    async def check(
        self,
        body: bytes,
        *,
        request_id: str,
        principal: Principal,
        priority: Priority = Priority.INTERACTIVE,
    ) -> CheckedChat:
        """Read the JSON of a `chat.completion` request, and fetch the pictures that it only names.

        Raises BadRequest, ModelNotFound, UnsupportedParameter, and Overloaded while too many are being fetched.
        """
        named = await self.auto.named(
            parse(ChatRequest, body), body, principal, request_id=request_id, priority=priority
        )
        body, wanted = named.body, named.wanted
        self._model(wanted.model, principal)
        await self._check(wanted, principal)
        if self._limits.image_urls == "public" and has_addresses(wanted):  # else a replica refuses them
            body = await self._pictures.fetched(body)
            wanted = parse(ChatRequest, body)
        call = ChatCall(body=body, request_id=request_id, priority=priority)
        chat = CheckedChat(call=call, wanted=wanted, principal=principal, others=named.others)
        return await self.promoted.completed(chat, self.last_card(wanted.model))

    async def check_completion(
        self,
        body: bytes,
        *,
        request_id: str,
        principal: Principal,
        priority: Priority = Priority.INTERACTIVE,
    ) -> CheckedCompletion:
        """The same of a request for raw completions."""
        named = await self.auto.named(
            parse(CompletionRequest, body), body, principal, request_id=request_id, priority=priority
        )
        body, wanted = named.body, named.wanted
        self._model(wanted.model, principal)
        card = await self._known(wanted.model)
        if card is not None:
            refuse_completion(wanted, card)
        call = ChatCall(body=body, request_id=request_id, priority=priority, kind=CallKind.COMPLETION)
        chat = CheckedCompletion(call=call, wanted=wanted, principal=principal, others=named.others)
        return await self.promoted.completed(chat, self.last_card(wanted.model))

    async def card(self, model_id: str, principal: Principal) -> ModelCard:
        """A chat model's card. Raises ModelNotFound, also where the principal may not ask it, and BadRequest."""
        self._model(model_id, principal)
        return await self._card(model_id)

    def last_card(self, model_id: str) -> ModelCard | None:
        """A chat model's card as it was told last; None where it never was."""
        return self._cards.get(model_id)

    async def whole(self, chat: Checked) -> bytes:
        """One `chat.completion`, or `text_completion`, as JSON. Raises what engines raise.

        Cancelling it stops the generation.
        """
        self._model(chat.wanted.model)
        entry = await self._entry(chat)
        if entry is None:
            return await self._generated(chat, None)
        return await entry.answer(lambda: self._generated(chat, entry))

    async def _generated(self, chat: Checked, entry: Entry | None) -> bytes:
        async with self._account(chat) as admission:

            async def ask(target: str) -> bytes:
                return await self._whole_of(target, chat, entry, admission)

            return admission.saw(await routing.whole(self._trail(chat), ask))

    async def _whole_of(self, target: str, chat: Checked, entry: Entry | None, admission: Admission) -> bytes:
        """What one target answers, and what it answered before; stored under its own name."""
        if target != chat.wanted.model:
            if entry is not None:
                entry.elsewhere()
            chat = await self._redirected(chat, target)
            entry = await self._entry(chat)
            if entry is not None and (found := await entry.whole()) is not None:
                return found
        model = self._models[target]
        with self._visit(target, admission) as visit:
            async with self.gate.place(admission, target):
                call = self._sent(target, chat, admission)
                answer = await self.retries.whole(target, lambda: model.chat(call))
            visit.whole(answer)
        if entry is not None:
            entry.keep(answer)
        return answer

    def events(self, chat: Checked) -> AsyncIterator[bytes]:
        """Server-sent chunks of the same, several to an item; closing it stops the generation."""
        self._model(chat.wanted.model)
        return self._asked(chat, None) if self.caches is None else self._cached(chat)

    def _asked(self, chat: Checked, entry: Entry | None) -> AsyncGenerator[bytes, None]:
        admission = self._account(chat)
        events = routing.stream(self._trail(chat), lambda target: self._events_of(target, chat, entry, admission))
        return streamed(admission, events)

    async def _events_of(
        self, target: str, chat: Checked, entry: Entry | None, admission: Admission
    ) -> AsyncGenerator[bytes, None]:
        """The events of one target, as `_whole_of`."""
        if target != chat.wanted.model:
            if entry is not None:
                entry.elsewhere()
            chat = await self._redirected(chat, target)
            entry = await self._entry(chat)
            include_usage = chat.wanted.wants_usage
            if entry is not None and (found := await entry.replayed(include_usage=include_usage)) is not None:
                yield found
                return
        model = self._models[target]
        with self._visit(target, admission) as visit:
            async with self.gate.place(admission, target):
                call = self._sent(target, chat, admission)
                events = self.retries.stream(target, lambda: model.stream(call))
                async with aclosing(events if entry is None else entry.keeping(events)) as items:
                    async for item in items:
                        visit.saw(item)
                        yield item

    def _visit(self, target: str, admission: Admission) -> Visit:
        return Visit(self.records, target, estimate=admission.estimate, limit_s=self.timeout_s)

    def _sent(self, target: str, chat: Checked, admission: Admission) -> ChatCall:
        """The call as it leaves: with what its replica is chosen by, and what autoscaling wants to know."""
        affinity = self._hints.of(target, chat.wanted, owner=chat.principal.owner)
        queued = self.gate.waiting(target)
        return replace(chat.call, affinity=affinity, waited_s=admission.waited_s, queued=queued)

    def _trail(self, chat: Checked) -> Trail:
        return self.router.trail(
            chat.wanted.model,
            may_ask=chat.principal.may_ask,
            priority=chat.call.priority,
            request_id=chat.call.request_id,
            others=chat.others,
            begin=partial(begun, self._models),
        )

    async def _redirected(self, chat: Checked, target: str) -> Checked:
        """The same request to another model. Raises what `check` raises where that cannot answer it."""
        if isinstance(chat, CheckedChat):
            other = self.promoted.redirected(chat, target)
            await self._check(other.wanted, other.principal)
            return await self.promoted.completed(other, self.last_card(target))
        raw, card = self.promoted.redirected(chat, target), await self._card(target)
        refuse_completion(raw.wanted, card)
        return await self.promoted.completed(raw, card)

    def _account(self, chat: Checked) -> Admission:
        return self.gate.account(chat.principal, priority=chat.call.priority, estimate=usage.of(chat.wanted))

    async def _cached(self, chat: Checked) -> AsyncGenerator[bytes, None]:
        """The events of the cache where they are there, else the model's, which then are stored."""
        entry = await self._entry(chat)
        if entry is None:
            events = self._asked(chat, None)
        else:
            events = entry.events(lambda: self._asked(chat, entry), include_usage=chat.wanted.wants_usage)
        async with aclosing(events) as items:
            async for item in items:
                yield item

    async def _entry(self, chat: Checked) -> Entry | None:
        if self.caches is None or isinstance(chat, CheckedCompletion) or chat.wanted.model in self._stale:
            return None
        card = await self._known(chat.wanted.model)
        if card is None:
            return None
        revision = card.revision
        return self.caches.answers.entry(chat.call, chat.wanted, owner=chat.principal.owner, revision=revision)

    def unknown(self, model_id: str, principal: Principal = LOCAL) -> ModelNotFound:
        """The error for a model that nobody serves, or that the principal may not ask."""
        served = ", ".join(filter(principal.may_ask, self._models)) or "none"
        return ModelNotFound(
            f"The model {model_id[:128]!r} does not exist here", hint=f"served: {served}", param="model"
        )

    def _model(self, model_id: str, principal: Principal = LOCAL) -> ChatModel:
        if not principal.may_ask(model_id):
            raise self.unknown(model_id, principal)
        if model_id in self._models:
            return self._models[model_id]
        if (other := self._others.get(model_id)) is not None:
            raise BadRequest(f"{model_id} is {other[0]} model", hint=f"POST /v1/{other[1]}", param="model")
        raise self.unknown(model_id, principal)

    async def _check(self, wanted: ChatRequest, principal: Principal) -> None:
        if len(wanted.messages) > self._limits.max_messages:
            raise BadRequest(
                f"{len(wanted.messages)} messages are over the limit of {self._limits.max_messages}",
                param="messages",
            )
        card = await self._known(wanted.model)
        if card is None:
            return  # somebody else will answer, or the engine refuses what it does not honour
        if wanted.has_images and not card.capabilities.images:
            raise UnsupportedParameter(
                f"{wanted.model} does not see pictures", hint=await self._who_sees(principal), param="messages"
            )
        refuse_unhonoured(wanted, card.capabilities.parameters)

    async def _card(self, model_id: str) -> ModelCard:
        card, model = self._cards.get(model_id), self._models[model_id]
        if isinstance(model, ProvidedModel):
            return await model.card()  # it is at hand, and changes with its provider's list
        if card is None:
            asked = self.retries.whole(model_id, model.card, timed=False)
            card = await journey.in_time(asked, self.timeout_s)  # one that sleeps is woken for it
        elif model_id in self._stale:
            try:
                async with asyncio.timeout(CARDS_TIMEOUT_S):
                    card = await model.card()
            except (TimeoutError, Unavailable):
                return card  # what is known of it; it answers nothing just now
        else:
            return card
        self._cards[model_id] = card
        self._stale.discard(model_id)
        return card

    async def _known(self, model_id: str) -> ModelCard | None:
        """The card; None where the model does not tell it just now and others may answer in its place."""
        masked = model_id not in self._cards and self.router.order(model_id, Scope.LOADING)
        if masked and not await begun(self._models, model_id):
            return None
        if model_id in self._cards or not self.router.order(model_id, Scope.UNAVAILABLE):
            return await self._card(model_id)
        try:
            async with asyncio.timeout(CARDS_TIMEOUT_S):
                card = self._cards[model_id] = await self._models[model_id].card()
        except (TimeoutError, Unavailable):
            return None
        return card

    async def _who_sees(self, principal: Principal) -> str:
        """A hint that names the models that see pictures; of one that does not answer now, nothing is known."""
        found = await self.auto.cards.of(name for name in self._models if principal.may_ask(name))
        cards = [card for card in found.values() if isinstance(card, ModelCard)]
        seeing = [card.id for card in cards if card.capabilities.images]
        return f"ask {' or '.join(seeing)}" if seeing else "no model that is served here does"
