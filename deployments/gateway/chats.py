"""Chat completions for every API that chats: a request is checked once, then its bytes pass through.

`/v1/chat/completions`, `/v1/responses`, `/v1/messages`, conversations and batches all come through here.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass, replace

from pydantic_core import from_json, to_json

from cluster.errors import BadRequest, ModelNotFound, Unavailable, UnsupportedParameter
from cluster.settings.tree import Settings
from cluster.types import CallKind, ChatCall, ModelCard, Priority
from deployments.clients import Backends, ChatModel
from deployments.gateway.cache.answers import Entry
from deployments.gateway.cache.build import Caches
from deployments.gateway.limits import usage
from deployments.gateway.limits.gate import Admission, Gate, streamed
from deployments.gateway.metrics import Metrics
from deployments.gateway.parsing import parse
from deployments.gateway.pictures import Pictures, has_addresses
from deployments.gateway.principal import LOCAL, Principal
from deployments.gateway.retries import Retries
from deployments.gateway.routing import router as routing
from deployments.gateway.routing.build import open_router
from deployments.gateway.routing.fallbacks import Scope
from deployments.gateway.routing.router import Router, Trail
from deployments.gateway.wire import INSTEAD, STRUCTURE, ChatRequest, CompletionRequest, GenerationRequest

CARDS_TIMEOUT_S = 1.0  # for a hint in an error, which may not keep its reader waiting


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckedChat:
    """A chat request that its model can answer. wanted: what call.body says, parsed."""

    call: ChatCall
    wanted: ChatRequest
    principal: Principal


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckedCompletion:
    """The same of a raw prompt, or several."""

    call: ChatCall
    wanted: CompletionRequest
    principal: Principal


Checked = CheckedChat | CheckedCompletion


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
    ) -> None:
        """router: made over the same gate; None: one that stores no events."""
        self._models = backends.models
        self.gate = gate or Gate()
        self.caches = caches
        self._cards: dict[str, ModelCard] = {}
        self._stale: set[str] = set()  # models that lost a replica: the next may have other weights
        self.router = router or open_router(settings, gate=self.gate)
        self.retries = Retries(
            metrics=metrics, lost=self._stale.add, breakers=self.router.breakers, events=self.router.events
        )
        self._pictures = pictures or Pictures(settings.limits)
        self._limits = settings.limits
        self._embedder = settings.embedding_models[0].id if settings.embedding_models else None
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
        wanted = parse(ChatRequest, body)
        if not principal.may_ask(wanted.model):
            raise self.unknown(wanted.model, principal)
        self._model(wanted.model)
        await self._check(wanted, principal)
        if self._limits.image_urls == "public" and has_addresses(wanted):  # else a replica refuses them
            body = await self._pictures.fetched(body)
            wanted = parse(ChatRequest, body)
        call = ChatCall(body=body, request_id=request_id, priority=priority)
        return CheckedChat(call=call, wanted=wanted, principal=principal)

    async def check_completion(
        self,
        body: bytes,
        *,
        request_id: str,
        principal: Principal,
        priority: Priority = Priority.INTERACTIVE,
    ) -> CheckedCompletion:
        """The same of a request for raw completions."""
        wanted = parse(CompletionRequest, body)
        if not principal.may_ask(wanted.model):
            raise self.unknown(wanted.model, principal)
        self._model(wanted.model)
        card = await self._known(wanted.model)
        if card is not None:
            _refuse_completion(wanted, card)
        call = ChatCall(body=body, request_id=request_id, priority=priority, kind=CallKind.COMPLETION)
        return CheckedCompletion(call=call, wanted=wanted, principal=principal)

    async def card(self, model_id: str, principal: Principal) -> ModelCard:
        """A chat model's card. Raises ModelNotFound, also where the principal may not ask it, and BadRequest."""
        if not principal.may_ask(model_id):
            raise self.unknown(model_id, principal)
        self._model(model_id)
        return await self._card(model_id)

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
        async with self.gate.place(admission, target):
            answer = await self.retries.whole(target, lambda: model.chat(chat.call))
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
            if entry is not None and (found := await entry.replayed(include_usage=_wants_usage(chat))) is not None:
                yield found
                return
        model, call = self._models[target], chat.call
        async with self.gate.place(admission, target):
            events = self.retries.stream(target, lambda: model.stream(call))
            async with aclosing(events if entry is None else entry.keeping(events)) as items:
                async for item in items:
                    yield item

    def _trail(self, chat: Checked) -> Trail:
        return self.router.trail(
            chat.wanted.model,
            may_ask=chat.principal.may_ask,
            priority=chat.call.priority,
            request_id=chat.call.request_id,
        )

    async def _redirected(self, chat: Checked, target: str) -> Checked:
        """The same request to another model. Raises what `check` raises where that cannot answer it."""
        body = to_json({**from_json(chat.call.body), "model": target})
        call, update = replace(chat.call, body=body), {"model": target}
        if isinstance(chat, CheckedChat):
            wanted = chat.wanted.model_copy(update=update)
            await self._check(wanted, chat.principal)
            return replace(chat, call=call, wanted=wanted)
        raw = chat.wanted.model_copy(update=update)
        _refuse_completion(raw, await self._card(target))
        return replace(chat, call=call, wanted=raw)

    def _account(self, chat: Checked) -> Admission:
        if isinstance(chat, CheckedCompletion):
            estimate = usage.of_completion(chat.wanted)
        else:
            estimate = usage.of_chat(chat.wanted)
        return self.gate.account(chat.principal, priority=chat.call.priority, estimate=estimate)

    async def _cached(self, chat: Checked) -> AsyncGenerator[bytes, None]:
        """The events of the cache where they are there, else the model's, which then are stored."""
        entry = await self._entry(chat)
        if entry is None:
            events = self._asked(chat, None)
        else:
            events = entry.events(lambda: self._asked(chat, entry), include_usage=_wants_usage(chat))
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

    def _model(self, model_id: str) -> ChatModel:
        if model_id in self._models:
            return self._models[model_id]
        if model_id == self._embedder:
            raise BadRequest(f"{model_id} is an embedding model", hint="POST /v1/embeddings", param="model")
        raise self.unknown(model_id)

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
        _refuse_unhonoured(wanted, card.capabilities.parameters)

    async def _card(self, model_id: str) -> ModelCard:
        card = self._cards.get(model_id)
        if card is None:
            card = await self.retries.whole(model_id, self._models[model_id].card, timed=False)
        elif model_id in self._stale:
            try:
                async with asyncio.timeout(CARDS_TIMEOUT_S):
                    card = await self._models[model_id].card()
            except (TimeoutError, Unavailable):
                return card  # what is known of it; it answers nothing just now
        else:
            return card
        self._cards[model_id] = card
        self._stale.discard(model_id)
        return card

    async def _known(self, model_id: str) -> ModelCard | None:
        """The card; None where the model does not tell it just now and others may answer in its place."""
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
        asked = [asyncio.create_task(self._card(name)) for name in self._models if principal.may_ask(name)]
        answered, waiting = await asyncio.wait(asked, timeout=CARDS_TIMEOUT_S)
        for task in waiting:
            task.cancel()
        cards = [task.result() for task in asked if task in answered and task.exception() is None]
        seeing = [card.id for card in cards if card.capabilities.images]
        return f"ask {' or '.join(seeing)}" if seeing else "no model that is served here does"


def _wants_usage(chat: Checked) -> bool:
    asked = chat.wanted.stream_options
    return bool(asked and asked.include_usage)


def _refuse_completion(wanted: CompletionRequest, card: ModelCard) -> None:
    if not card.capabilities.completion:
        hint = "POST /v1/chat/completions"
        raise UnsupportedParameter(f"{wanted.model} takes no raw prompts", hint=hint, param="prompt")
    _refuse_unhonoured(wanted, card.capabilities.completion)


def _refuse_unhonoured(wanted: GenerationRequest, honoured: frozenset[str]) -> None:
    sent = {name for name in wanted.model_fields_set if getattr(wanted, name) is not None}
    refused = sorted(sent - STRUCTURE - honoured)
    if refused:
        hint = INSTEAD.get(refused[0], "remove the parameter")
        raise UnsupportedParameter(f"{wanted.model} does not honour {refused[0]}", hint=hint, param=refused[0])
