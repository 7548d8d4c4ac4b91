"""The Anthropic-compatible routes: messages, whole or streamed, and how many tokens one would read."""

from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from functools import partial

from fastapi import APIRouter, Request
from starlette.responses import Response

from deployments.clients import ChatModel
from deployments.gateway import lifetimes
from deployments.gateway.anthropic import answer, errors
from deployments.gateway.anthropic.counting import count_body, input_tokens
from deployments.gateway.anthropic.events import events
from deployments.gateway.anthropic.translate import Prompt, chat_body, prompt_of
from deployments.gateway.anthropic.wire import CountRequest, MessagesRequest
from deployments.gateway.bodies import json_body
from deployments.gateway.chats import Chats, CheckedChat
from deployments.gateway.parsing import parse
from deployments.gateway.principal import principal_of

STREAM_HEADERS = {"cache-control": "no-cache", "x-accel-buffering": "no"}  # no proxy may hold tokens back


def router(models: Mapping[str, ChatModel], chats: Chats) -> APIRouter:
    """The routes under `/v1/messages`."""
    routes = APIRouter(prefix="/v1/messages", tags=["Anthropic"])

    @routes.post(
        "", summary="A message, whole or streamed, as Anthropic's API", openapi_extra=json_body(MessagesRequest)
    )
    async def create_message(request: Request) -> Response:
        return await _create(request, chats)

    @routes.post(
        "/count_tokens", summary="How many tokens a message would read", openapi_extra=json_body(CountRequest)
    )
    async def count_tokens(request: Request) -> dict[str, int]:
        wanted = parse(CountRequest, await request.body())
        prompt = prompt_of(wanted)
        with prompt.blamed():
            chat = await chats.check(
                count_body(wanted, prompt), request_id=request.state.request_id, principal=principal_of(request)
            )
            counting = input_tokens(chat, chats, models)
            return {"input_tokens": await lifetimes.while_connected(request, counting, timeout_s=chats.timeout_s)}

    return routes


async def _create(request: Request, chats: Chats) -> Response:
    wanted = parse(MessagesRequest, await request.body())
    prompt = prompt_of(wanted)
    request_id: str = request.state.request_id
    with prompt.blamed():
        body = chat_body(wanted, prompt)
        chat = await chats.check(body, request_id=request_id, principal=principal_of(request))
        if wanted.stream:
            return await lifetimes.stream(
                _events(chats, chat, prompt),
                timeout_s=chats.timeout_s,
                headers={**STREAM_HEADERS, "request-id": request_id},
                failed=partial(errors.event, request_id=request_id),
            )
        completion = await lifetimes.while_connected(request, chats.whole(chat), timeout_s=chats.timeout_s)
    content = answer.message(completion, request_id=request_id, model=wanted.model)
    return Response(content, media_type="application/json", headers={"request-id": request_id})


async def _events(chats: Chats, chat: CheckedChat, prompt: Prompt) -> AsyncGenerator[bytes, None]:
    source = events(chats.events(chat), request_id=chat.call.request_id, model=chat.wanted.model)
    with prompt.blamed():
        async with aclosing(source) as written:
            async for item in written:
                yield item
