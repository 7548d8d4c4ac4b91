"""The routes of conversations and stream sessions. What is not the asker's own does not exist."""

import re
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Annotated, Any, Literal

from fastapi import APIRouter, FastAPI, Query, Request
from sqlalchemy import Engine
from starlette.responses import JSONResponse, Response, StreamingResponse

from cluster.errors import BadRequest
from cluster.settings.tree import Settings
from cluster.stores import conversations as talks
from cluster.stores.stream_sessions import ACTIVE
from deployments.clients import Backends
from deployments.gateway import lifetimes
from deployments.gateway.bodies import json_body
from deployments.gateway.chats import Chats
from deployments.gateway.conversations import shown, stream
from deployments.gateway.conversations.desk import Desk
from deployments.gateway.conversations.live import FIRST_DELTA
from deployments.gateway.conversations.wire import ConversationRequest, MessageRequest
from deployments.gateway.parsing import parse
from deployments.gateway.principal import principal_of

PREFIX = "/api/v1"
STREAM_HEADERS = {"cache-control": "no-cache", "x-accel-buffering": "no"}  # no proxy may hold tokens back
STATUS_S = 0.1  # an answer that fails within it has the error's status, and is no stream
LARGEST_OFFSET = 2**31 - 1  # of a PostgreSQL integer
EVENT_ID = re.compile(r"[0-9]{1,15}")

Limit = Annotated[int, Query(ge=1, le=200)]
Offset = Annotated[int, Query(ge=0, le=LARGEST_OFFSET)]
Status = Literal["active", "completed", "terminated", "error"]


def router(
    backends: Backends, settings: Settings, chats: Chats, engine: Engine, desk: Desk | None = None
) -> APIRouter:
    """The routes under `/api/v1/conversations` and `/api/v1/stream-sessions`. desk: shared with another API."""
    desk = desk or Desk(backends, settings, chats, engine)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        await desk.sessions.close()

    routes = APIRouter(prefix=PREFIX, lifespan=lifespan)
    _conversation_routes(routes, desk)
    _message_routes(routes, desk)
    _session_routes(routes, desk)
    return routes


def _conversation_routes(routes: APIRouter, desk: Desk) -> None:
    body = json_body(ConversationRequest)
    route = partial(routes.api_route, tags=["Conversations"])

    @route("/conversations", methods=["POST"], status_code=201, summary="Begin a conversation", openapi_extra=body)
    async def create(request: Request) -> dict[str, Any]:
        wanted = parse(ConversationRequest, await request.body())
        return shown.conversation(await desk.create(wanted, principal_of(request)))

    @route("/conversations", methods=["GET"], summary="Your conversations, what changed last first")
    async def page(request: Request, limit: Limit = 50, offset: Offset = 0) -> dict[str, Any]:
        total, found = await desk.page(_owner(request), limit=limit, offset=offset)
        listed = [shown.conversation(one) for one in found]
        return {"conversations": listed, "total": total, "limit": limit, "offset": offset}

    @route("/conversations/{conversation_id}", methods=["GET"], summary="One conversation")
    async def show(request: Request, conversation_id: str) -> dict[str, Any]:
        return shown.conversation(await desk.find(conversation_id, _owner(request)))

    @route(
        "/conversations/{conversation_id}",
        methods=["PATCH"],
        summary="Change some of its fields",
        openapi_extra=body,
    )
    async def change(request: Request, conversation_id: str) -> dict[str, Any]:
        wanted = parse(ConversationRequest, await request.body())
        return shown.conversation(await desk.change(conversation_id, wanted, principal_of(request)))

    @route("/conversations/{conversation_id}", methods=["DELETE"], summary="Forget it and all in it")
    async def remove(request: Request, conversation_id: str) -> dict[str, Any]:
        await desk.remove(conversation_id, _owner(request))
        return {"id": conversation_id, "deleted": True}


def _message_routes(routes: APIRouter, desk: Desk) -> None:
    @routes.get(
        "/conversations/{conversation_id}/messages", tags=["Conversations"], summary="Its messages, oldest first"
    )
    async def page(
        request: Request, conversation_id: str, limit: Limit = 100, offset: Offset = 0
    ) -> dict[str, Any]:
        found = await desk.messages(conversation_id, _owner(request), limit=limit, offset=offset)
        listed = [
            shown.message(one, partial=found.partial.get(one.id) if one.status == talks.STREAMING else None)
            for one in found.messages
        ]
        return {"messages": listed, "total": found.total, "limit": limit, "offset": offset}

    @routes.post(
        "/conversations/{conversation_id}/messages",
        tags=["Conversations"],
        summary="Say something; the answer is streamed, or whole with stream false",
        openapi_extra=json_body(MessageRequest),
    )
    async def send(request: Request, conversation_id: str) -> Response:
        wanted = parse(MessageRequest, await request.body())
        session, live = await desk.say(
            conversation_id, wanted, request_id=request.state.request_id, principal=principal_of(request)
        )
        if wanted.stream:
            await live.begun(STATUS_S)
            if live.error is not None and live.over and live.last < FIRST_DELTA:
                raise live.error
            return _streamed(desk.sessions.follower.follow(session, after=0))
        work = desk.whole(session, live)
        return JSONResponse(await lifetimes.while_connected(request, work, timeout_s=desk.wait_s))


def _session_routes(routes: APIRouter, desk: Desk) -> None:
    route = partial(routes.api_route, tags=["Stream sessions"])

    @route("/stream-sessions", methods=["GET"], summary="Your stream sessions, newest first")
    async def page(
        request: Request,
        status: Status | None = None,
        conversation_id: Annotated[str | None, Query(alias="conversationId", max_length=64)] = None,
        limit: Limit = 50,
        offset: Offset = 0,
    ) -> dict[str, Any]:
        total, found = await desk.session_page(
            _owner(request), status=status, conversation_id=conversation_id, limit=limit, offset=offset
        )
        listed = [shown.session(one) for one in found]
        return {"streamSessions": listed, "total": total, "limit": limit, "offset": offset}

    @route("/stream-sessions/{session_id}", methods=["GET"], summary="One stream session, with its text so far")
    async def show(request: Request, session_id: str) -> dict[str, Any]:
        return shown.session(await desk.session(session_id, _owner(request)))

    @route("/stream-sessions/{session_id}/stop", methods=["POST"], summary="Stop it, wherever it runs")
    async def stop(request: Request, session_id: str) -> Response:
        stopped = await desk.stop(session_id, _owner(request))
        return JSONResponse(shown.session(stopped), status_code=202 if stopped.status == ACTIVE else 200)

    @route(
        "/stream-sessions/{session_id}/events",
        methods=["GET"],
        summary="Its events after Last-Event-ID, live until its end; 204 where nothing comes any more",
    )
    async def events(
        request: Request, session_id: str, after: Annotated[int, Query(ge=0, lt=10**15)] = 0
    ) -> Response:
        session = await desk.session(session_id, _owner(request))
        seen = _last_event(request, after)
        if desk.sessions.follower.over(session, after=seen):
            return Response(status_code=204)  # tells an EventSource not to connect again
        return _streamed(desk.sessions.follower.follow(session, after=seen))


def _streamed(events: AsyncGenerator[bytes, None]) -> Response:
    guarded = lifetimes.guarded(events, failed=stream.failed)
    return StreamingResponse(guarded, media_type="text/event-stream", headers=STREAM_HEADERS)


def _owner(request: Request) -> str:
    return principal_of(request).owner


def _last_event(request: Request, after: int) -> int:
    """The last event that the client has seen: the header, as browsers send it again, before the query."""
    header = request.headers.get("last-event-id")
    if not header:
        return after
    if EVENT_ID.fullmatch(header) is None:
        raise BadRequest(
            f"Last-Event-ID is no event's id (got {header[:32]!r})", hint="send the id line of the last event"
        )
    return int(header)
