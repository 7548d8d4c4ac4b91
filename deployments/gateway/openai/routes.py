"""The OpenAI-compatible routes: models, completions, embeddings; and vLLM's beside them, scores and tokens."""

from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response

from cluster.settings.tree import Settings
from deployments.clients import Backends
from deployments.gateway import lifetimes
from deployments.gateway.bodies import json_body
from deployments.gateway.chats import Chats, Checked
from deployments.gateway.openai import scores, tokens
from deployments.gateway.openai.embeddings import embedding_inputs
from deployments.gateway.openai.model_list import ModelList
from deployments.gateway.openai.scoring import Scoring
from deployments.gateway.principal import principal_of
from deployments.gateway.surface import take
from deployments.gateway.wire import ChatRequest, CompletionRequest, EmbeddingRequest

STREAM_HEADERS = {"cache-control": "no-cache", "x-accel-buffering": "no"}  # no proxy may hold tokens back


def router(backends: Backends, settings: Settings, chats: Chats) -> APIRouter:
    """The routes under `/v1`."""
    routes = APIRouter(prefix="/v1", tags=["OpenAI"])
    embeddings = embedding_inputs(backends, settings, chats)
    models = ModelList(settings, backends, chats)

    @routes.get("/models", summary="The models that may be asked for")
    async def list_models(request: Request) -> dict[str, Any]:
        return {"object": "list", "data": await models.rows(principal_of(request).may_ask)}

    @routes.get("/models/{model_id:path}", summary="One model")
    async def show_model(model_id: str, request: Request) -> dict[str, Any]:
        return await models.row(model_id, principal_of(request))

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

    surface = APIRouter()  # with paths outside /v1, too
    take(
        surface,
        routes,
        scores.router(Scoring(backends, embeddings, settings)),
        tokens.router(backends, chats, embeddings),
    )
    return surface


async def _answer(request: Request, chats: Chats, chat: Checked) -> Response:
    if chat.wanted.stream:
        return await lifetimes.stream(chats.events(chat), timeout_s=chats.timeout_s, headers=STREAM_HEADERS)
    answer = await lifetimes.while_connected(request, chats.whole(chat), timeout_s=chats.timeout_s)
    return Response(answer, media_type="application/json")
