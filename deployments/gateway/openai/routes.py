"""The OpenAI-compatible routes: models, completions, embeddings; and vLLM's beside them, scores and tokens."""

from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response

from cluster.settings.tree import Settings
from cluster.types import ModelCard
from deployments.clients import Backends, ChatModel, Embedder
from deployments.gateway import lifetimes
from deployments.gateway.bodies import json_body
from deployments.gateway.chats import Chats, Checked
from deployments.gateway.models.on_demand import Available
from deployments.gateway.openai import scores, tokens
from deployments.gateway.openai.embeddings import EmbeddingInputs
from deployments.gateway.principal import principal_of
from deployments.gateway.wire import ChatRequest, CompletionRequest, EmbeddingRequest

STREAM_HEADERS = {"cache-control": "no-cache", "x-accel-buffering": "no"}  # no proxy may hold tokens back


def router(backends: Backends, settings: Settings, chats: Chats) -> APIRouter:
    """The routes under `/v1`."""
    routes = APIRouter(prefix="/v1")
    embeddings = EmbeddingInputs(backends, settings, retries=chats.retries, caches=chats.caches, gate=chats.gate)

    @routes.get("/models", summary="The models that are served")
    async def list_models(request: Request) -> dict[str, Any]:
        may_ask = principal_of(request).may_ask
        cards = [await model.card() for name, model in backends.models.items() if may_ask(name)]
        if backends.embedder is not None and may_ask(embeddings.model_id or ""):
            cards.append(await backends.embedder.card())
        if isinstance(backends.models, Available):
            cards += [card for card in backends.models.loadable() if may_ask(card.id)]
        return {"object": "list", "data": [_listed(card) for card in cards]}

    @routes.get("/models/{model_id:path}", summary="One model")
    async def show_model(model_id: str, request: Request) -> dict[str, Any]:
        if not principal_of(request).may_ask(model_id):
            raise chats.unknown(model_id, principal_of(request))
        if isinstance(backends.models, Available) and (card := await backends.models.card(model_id)) is not None:
            return _listed(card)
        served: ChatModel | Embedder | None = backends.models.get(model_id)
        if served is None and model_id == embeddings.model_id:
            served = backends.embedder
        if served is None:
            raise chats.unknown(model_id, principal_of(request))
        return _listed(await served.card())

    @routes.post(
        "/chat/completions", summary="A chat completion, whole or streamed", openapi_extra=json_body(ChatRequest)
    )
    async def chat_completions(request: Request) -> Response:
        body, principal = await request.body(), principal_of(request)
        chat = await chats.check(body, request_id=request.state.request_id, principal=principal)
        return await _answer(request, chats, chat)

    @routes.post(
        "/completions", summary="A raw prompt gone on with (legacy)", openapi_extra=json_body(CompletionRequest)
    )
    async def completions(request: Request) -> Response:
        body, principal = await request.body(), principal_of(request)
        completion = await chats.check_completion(body, request_id=request.state.request_id, principal=principal)
        return await _answer(request, chats, completion)

    @routes.post(
        "/embeddings", summary="Embeddings of texts or token arrays", openapi_extra=json_body(EmbeddingRequest)
    )
    async def create_embeddings(request: Request) -> Response:
        return await embeddings.create(request)

    surface = APIRouter(tags=["OpenAI"])  # with paths outside /v1, too
    for part in (routes, scores.router(embeddings), tokens.router(backends, chats, embeddings)):
        surface.include_router(part)
    return surface


async def _answer(request: Request, chats: Chats, chat: Checked) -> Response:
    if chat.wanted.stream:
        return await lifetimes.stream(chats.events(chat), timeout_s=chats.timeout_s, headers=STREAM_HEADERS)
    answer = await lifetimes.while_connected(request, chats.whole(chat), timeout_s=chats.timeout_s)
    return Response(answer, media_type="application/json")


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
