"""The OpenAI-compatible routes: models, chat completions, embeddings."""

import asyncio
import base64
import json
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response

from cluster.errors import BadRequest, ModelNotFound, UnsupportedParameter
from cluster.settings import Settings
from cluster.types import ChatCall, EmbeddingCall, Embeddings, ModelCard
from deployments.clients import Backends, ChatModel, Embedder
from deployments.gateway import lifetimes
from deployments.gateway.bodies import json_body
from deployments.gateway.parsing import parse
from deployments.gateway.wire import STRUCTURE, ChatRequest, EmbeddingRequest

STREAM_HEADERS = {"cache-control": "no-cache", "x-accel-buffering": "no"}  # no proxy may hold tokens back
EMBEDDING_TIMEOUT_S = 120.0
CARDS_TIMEOUT_S = 1.0  # for a hint in an error, which may not keep its reader waiting


def router(backends: Backends, settings: Settings) -> APIRouter:
    """The routes under `/v1`."""
    routes = APIRouter(prefix="/v1", tags=["OpenAI"])
    chats = Chats(backends, settings)
    embeddings = EmbeddingInputs(backends, settings)

    @routes.get("/models", summary="The models that are served")
    async def list_models() -> dict[str, Any]:
        cards = [await model.card() for model in backends.models.values()]
        if backends.embedder is not None:
            cards.append(await backends.embedder.card())
        return {"object": "list", "data": [_listed(card) for card in cards]}

    @routes.get("/models/{model_id:path}", summary="One model")
    async def show_model(model_id: str) -> dict[str, Any]:
        served: ChatModel | Embedder | None = backends.models.get(model_id)
        if served is None and model_id == embeddings.model_id:
            served = backends.embedder
        if served is None:
            raise chats.unknown(model_id)
        return _listed(await served.card())

    @routes.post(
        "/chat/completions", summary="A chat completion, whole or streamed", openapi_extra=json_body(ChatRequest)
    )
    async def chat_completions(request: Request) -> Response:
        return await chats.complete(request)

    @routes.post(
        "/embeddings", summary="Embeddings of texts or token arrays", openapi_extra=json_body(EmbeddingRequest)
    )
    async def create_embeddings(request: Request) -> Response:
        return await embeddings.create(request)

    return routes


class Chats:
    """Chat completions: checks the request against its model, then passes bytes through."""

    def __init__(self, backends: Backends, settings: Settings) -> None:
        self._models = backends.models
        self._limits = settings.limits
        self._cards: dict[str, ModelCard] = {}
        self._embedder = settings.embedding_models[0].id if settings.embedding_models else None

    async def complete(self, request: Request) -> Response:
        """Answer one request. Raises BadRequest, ModelNotFound, UnsupportedParameter and what engines raise."""
        body = await request.body()
        wanted = parse(ChatRequest, body)
        model = self._model(wanted.model)
        await self._check(wanted)
        call = ChatCall(body=body, request_id=request.state.request_id)
        timeout_s = self._limits.generation_timeout_ms / 1000
        if wanted.stream:
            return await lifetimes.stream(model.stream(call), timeout_s=timeout_s, headers=STREAM_HEADERS)
        answer = await lifetimes.while_connected(request, model.chat(call), timeout_s=timeout_s)
        return Response(answer, media_type="application/json")

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


class EmbeddingInputs:
    """Embeddings: checks the inputs, and writes floats or base64."""

    def __init__(self, backends: Backends, settings: Settings) -> None:
        self._embedder = backends.embedder
        self._limit = settings.limits.max_embedding_inputs
        self._characters = settings.limits.max_embedding_characters
        self._chat_models = frozenset(backends.models)
        self.model_id = settings.embedding_models[0].id if settings.embedding_models else None

    async def create(self, request: Request) -> Response:
        """Answer one request. Raises BadRequest, ModelNotFound, UnsupportedParameter."""
        wanted = parse(EmbeddingRequest, await request.body())
        if wanted.model in self._chat_models:
            raise BadRequest(f"{wanted.model} is a chat model", hint="it has no embeddings", param="model")
        if self._embedder is None or wanted.model != self.model_id:
            raise ModelNotFound(
                f"The model {wanted.model[:128]!r} does not exist here",
                hint=f"served for embeddings: {self.model_id or 'none'}",
                param="model",
            )
        inputs = self._inputs(wanted.input)
        card = await self._embedder.card()
        if wanted.dimensions not in (None, card.capabilities.dimensions):
            raise UnsupportedParameter(
                f"{wanted.model} cannot shorten its {card.capabilities.dimensions} dimensions",
                hint="leave dimensions out",
                param="dimensions",
            )
        call = EmbeddingCall(inputs=inputs, request_id=request.state.request_id)
        result = await lifetimes.while_connected(request, self._embedder.embed(call), timeout_s=EMBEDDING_TIMEOUT_S)
        return _embedding_response(wanted, result)

    def _inputs(self, given: str | list[str] | list[int] | list[list[int]]) -> Any:
        if isinstance(given, str):
            items: list[Any] = [given]
        elif given and all(isinstance(item, int) for item in given):
            items = [tuple(given)]
        else:
            items = [item if isinstance(item, str) else tuple(item) for item in given]  # type: ignore[arg-type]
        if not items:
            raise BadRequest("input is empty", hint="send a text or a list of texts", param="input")
        if len(items) > self._limit:
            raise BadRequest(f"{len(items)} inputs are over the limit of {self._limit}", param="input")
        if (size := sum(map(len, items))) > self._characters:
            raise BadRequest(
                f"The input has {size} characters or tokens, over the limit of {self._characters}",
                hint="send it in several requests",
                param="input",
            )
        for place, item in enumerate(items):
            if not item:
                param = "input" if isinstance(given, str) else f"input[{place}]"
                raise BadRequest(f"{param} is an empty text", hint="every input needs a character", param=param)
        return tuple(items)


def _listed(card: ModelCard) -> dict[str, Any]:
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


def _embedding_response(wanted: EmbeddingRequest, result: Embeddings) -> Response:
    def written(row: Any) -> Any:
        if wanted.encoding_format == "base64":
            return base64.b64encode(row.astype("<f4").tobytes()).decode()
        return row.tolist()

    tokens = sum(result.tokens)
    content = {
        "object": "list",
        "data": [
            {"object": "embedding", "index": index, "embedding": written(row)}
            for index, row in enumerate(result.vectors)
        ],
        "model": wanted.model,
        "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
    }
    headers = {"x-heliostat-truncated-inputs": str(result.truncated)} if result.truncated else None
    return Response(json.dumps(content), media_type="application/json", headers=headers)
