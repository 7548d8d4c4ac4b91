"""Chat completions for every API that chats: a request is checked once, then its bytes pass through.

`/v1/chat/completions`, `/v1/responses`, `/v1/messages`, conversations and batches all come through here.
"""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass

from cluster.errors import BadRequest, ModelNotFound, UnsupportedParameter
from cluster.settings import Settings
from cluster.types import ChatCall, ModelCard, Priority
from deployments.clients import Backends, ChatModel
from deployments.gateway.parsing import parse
from deployments.gateway.principal import Principal
from deployments.gateway.wire import STRUCTURE, ChatRequest

CARDS_TIMEOUT_S = 1.0  # for a hint in an error, which may not keep its reader waiting


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckedChat:
    """A chat request that its model can answer. wanted: what call.body says, parsed."""

    call: ChatCall
    wanted: ChatRequest
    principal: Principal


class Chats:
    """Checks chat requests against their models, and has them answered."""

    def __init__(self, backends: Backends, settings: Settings) -> None:
        self._models = backends.models
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
        """Read the JSON of a `chat.completion` request. Raises BadRequest, ModelNotFound, UnsupportedParameter."""
        wanted = parse(ChatRequest, body)
        self._model(wanted.model)
        await self._check(wanted)
        call = ChatCall(body=body, request_id=request_id, priority=priority)
        return CheckedChat(call=call, wanted=wanted, principal=principal)

    async def whole(self, chat: CheckedChat) -> bytes:
        """One `chat.completion` as JSON. Raises what engines raise; cancelling it stops the generation."""
        return await self._model(chat.wanted.model).chat(chat.call)

    def events(self, chat: CheckedChat) -> AsyncIterator[bytes]:
        """Server-sent `chat.completion.chunk` events, several to an item; closing it stops the generation."""
        return self._model(chat.wanted.model).stream(chat.call)

    def unknown(self, model_id: str) -> ModelNotFound:
        """The error for a model that nobody serves."""
        served = ", ".join(self._models) or "none"
        return ModelNotFound(
            f"The model {model_id[:128]!r} does not exist here", hint=f"served: {served}", param="model"
        )

    def _model(self, model_id: str) -> ChatModel:
        if model_id in self._models:
            return self._models[model_id]
        if model_id == self._embedder:
            raise BadRequest(f"{model_id} is an embedding model", hint="POST /v1/embeddings", param="model")
        raise self.unknown(model_id)

    async def _check(self, wanted: ChatRequest) -> None:
        if len(wanted.messages) > self._limits.max_messages:
            raise BadRequest(
                f"{len(wanted.messages)} messages are over the limit of {self._limits.max_messages}",
                param="messages",
            )
        card = await self._card(wanted.model)
        if wanted.has_images and not card.capabilities.images:
            raise UnsupportedParameter(
                f"{wanted.model} does not see pictures", hint=await self._who_sees(), param="messages"
            )
        sent = {name for name in wanted.model_fields_set if getattr(wanted, name) is not None}
        refused = sorted(sent - STRUCTURE - card.capabilities.parameters)
        if refused:
            raise UnsupportedParameter(
                f"{wanted.model} does not honour {refused[0]}", hint="remove the parameter", param=refused[0]
            )

    async def _card(self, model_id: str) -> ModelCard:
        card = self._cards.get(model_id)
        if card is None:
            card = self._cards[model_id] = await self._models[model_id].card()
        return card

    async def _who_sees(self) -> str:
        """A hint that names the models that see pictures; of one that does not answer now, nothing is known."""
        asked = [asyncio.create_task(self._card(name)) for name in self._models]
        answered, waiting = await asyncio.wait(asked, timeout=CARDS_TIMEOUT_S)
        for task in waiting:
            task.cancel()
        cards = [task.result() for task in asked if task in answered and task.exception() is None]
        seeing = [card.id for card in cards if card.capabilities.images]
        return f"ask {' or '.join(seeing)}" if seeing else "no model that is served here does"
