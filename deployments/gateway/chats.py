"""Chat completions for every API that chats: a request is checked once, then its bytes pass through.

`/v1/chat/completions`, `/v1/responses`, `/v1/messages`, conversations and batches all come through here.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass

from cluster.errors import BadRequest, ModelNotFound, UnsupportedParameter
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
    ) -> None:
        self._models = backends.models
        self.gate = gate or Gate()
        self.caches = caches
        self.retries = Retries(metrics=metrics, lost=self._lost)
        self._pictures = pictures or Pictures(settings.limits)
        self._limits = settings.limits
        self._cards: dict[str, ModelCard] = {}
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
        card = await self.card(wanted.model, principal)
        if not card.capabilities.completion:
            raise UnsupportedParameter(
                f"{wanted.model} takes no raw prompts", hint="POST /v1/chat/completions", param="prompt"
            )
        _refuse_unhonoured(wanted, card.capabilities.completion)
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
        model = self._model(chat.wanted.model)
        entry = await self._entry(chat)
        if entry is not None and (found := await entry.whole()) is not None:
            return found
        async with self._admitted(chat) as admission:
            answer = admission.saw(await self.retries.whole(chat.wanted.model, lambda: model.chat(chat.call)))
        if entry is not None:
            entry.keep(answer)
        return answer

    def events(self, chat: Checked) -> AsyncIterator[bytes]:
        """Server-sent chunks of the same, several to an item; closing it stops the generation."""
        model = self._model(chat.wanted.model)
        asked = self.retries.stream(chat.wanted.model, lambda: model.stream(chat.call))
        events = streamed(self._admitted(chat), asked)
        return events if self.caches is None else self._cached(chat, events)

    def _admitted(self, chat: Checked) -> Admission:
        if isinstance(chat, CheckedCompletion):
            estimate = usage.of_completion(chat.wanted)
        else:
            estimate = usage.of_chat(chat.wanted)
        return self.gate.admit(chat.principal, chat.wanted.model, priority=chat.call.priority, estimate=estimate)

    async def _cached(self, chat: Checked, events: AsyncGenerator[bytes, None]) -> AsyncGenerator[bytes, None]:
        """The events of the cache where they are there, else the model's, which then are stored."""
        entry = await self._entry(chat)
        if entry is not None:
            asked = chat.wanted.stream_options
            found = await entry.events(include_usage=bool(asked and asked.include_usage))
            if found is not None:
                yield found
                return
            events = entry.keeping(events)
        async with aclosing(events) as items:
            async for item in items:
                yield item

    async def _entry(self, chat: Checked) -> Entry | None:
        if self.caches is None or isinstance(chat, CheckedCompletion):
            return None
        revision = (await self._card(chat.wanted.model)).revision
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
        card = await self._card(wanted.model)
        if wanted.has_images and not card.capabilities.images:
            raise UnsupportedParameter(
                f"{wanted.model} does not see pictures", hint=await self._who_sees(principal), param="messages"
            )
        _refuse_unhonoured(wanted, card.capabilities.parameters)

    async def _card(self, model_id: str) -> ModelCard:
        card = self._cards.get(model_id)
        if card is None:
            card = self._cards[model_id] = await self.retries.whole(
                model_id, self._models[model_id].card, timed=False
            )
        return card

    def _lost(self, model_id: str) -> None:
        """A replica that comes back may have other weights: its card is asked for again."""
        self._cards.pop(model_id, None)

    async def _who_sees(self, principal: Principal) -> str:
        """A hint that names the models that see pictures; of one that does not answer now, nothing is known."""
        asked = [asyncio.create_task(self._card(name)) for name in self._models if principal.may_ask(name)]
        answered, waiting = await asyncio.wait(asked, timeout=CARDS_TIMEOUT_S)
        for task in waiting:
            task.cancel()
        cards = [task.result() for task in asked if task in answered and task.exception() is None]
        seeing = [card.id for card in cards if card.capabilities.images]
        return f"ask {' or '.join(seeing)}" if seeing else "no model that is served here does"


def _refuse_unhonoured(wanted: GenerationRequest, honoured: frozenset[str]) -> None:
    sent = {name for name in wanted.model_fields_set if getattr(wanted, name) is not None}
    refused = sorted(sent - STRUCTURE - honoured)
    if refused:
        hint = INSTEAD.get(refused[0], "remove the parameter")
        raise UnsupportedParameter(f"{wanted.model} does not honour {refused[0]}", hint=hint, param=refused[0])
