"""`POST /api/v1/models/generate`: a prompt in, its answer with what it took out. For those who want no more."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic
from typing import Any

from fastapi import APIRouter, Request
from pydantic_core import from_json

from cluster.engines.remote.providers import Providers
from cluster.errors import BadRequest
from cluster.settings.routing import AUTO
from deployments.gateway import lifetimes
from deployments.gateway.bodies import json_body
from deployments.gateway.chats import Chats, CheckedChat
from deployments.gateway.parsing import parse
from deployments.gateway.principal import principal_of
from deployments.gateway.providers.naming import model_of
from deployments.gateway.providers.wire import GenerateRequest
from deployments.gateway.routing.auto_need import need_of
from deployments.gateway.wire import ChatRequest


def router(chats: Chats, providers: Providers) -> APIRouter:
    """The route."""
    routes = APIRouter(prefix="/api/v1/models", tags=["Providers"])

    @routes.post("/generate", summary="A prompt answered", openapi_extra=json_body(GenerateRequest))
    async def generate(request: Request) -> dict[str, Any]:
        wanted, began = parse(GenerateRequest, await request.body()), monotonic()
        with _blamed():
            chat = await _checked(request, wanted, chats, providers)
            answer = await lifetimes.while_connected(request, chats.whole(chat), timeout_s=chats.timeout_s)
        return _shown(from_json(answer), providers, latency_s=monotonic() - began)

    return routes


async def _checked(request: Request, wanted: GenerateRequest, chats: Chats, providers: Providers) -> CheckedChat:
    """The chat that answers. Raises what `Chats.check` raises."""
    principal, request_id = principal_of(request), request.state.request_id
    model = wanted.model or AUTO
    if wanted.provider is not None:
        model = await model_of(
            wanted.provider,
            wanted.model,
            need_of(ChatRequest.model_validate(wanted.chat(model))),
            chats=chats,
            providers=providers,
            principal=principal,
            request_id=request_id,
        )
    elif wanted.model is None and not chats.auto.means(AUTO):
        raise BadRequest("Missing required parameter: model", hint="`auto` is off here", param="model")
    body = json.dumps(wanted.chat(model)).encode()
    return await chats.check(body, request_id=request_id, principal=principal)


@contextmanager
def _blamed() -> Iterator[None]:
    """Errors name the fields that this body has."""
    try:
        yield
    except BadRequest as error:
        if error.param is not None and error.param.startswith("messages"):
            error.param = "prompt"
        raise


def _shown(answer: dict[str, Any], providers: Providers, *, latency_s: float) -> dict[str, Any]:
    choice, usage = answer["choices"][0], answer.get("usage") or {}
    model = answer["model"]
    return {
        "id": answer["id"],
        "object": "generation",
        "created": answer["created"],
        "text": choice["message"].get("content") or "",
        "model": model,
        "provider": providers.of(model),
        "finish_reason": choice["finish_reason"],
        "usage": {
            "prompt_tokens": usage.get("prompt_tokens", 0),
            "completion_tokens": usage.get("completion_tokens", 0),
            "total_tokens": usage.get("total_tokens", 0),
        },
        "latency_ms": round(1000 * latency_s, 1),
    }
