"""The routes of conversations and stream sessions. What is not the asker's own does not exist."""

import re
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from functools import partial
from typing import Annotated, Any, Literal

from fastapi import APIRouter, FastAPI, Query, Request
from sqlalchemy import Engine
from starlette.responses import JSONResponse, Response, StreamingResponse

from cluster.errors import BadRequest
from cluster.settings.tree import Settings
from cluster.stores import conversations as talks
from cluster.stores import stream_sessions
from cluster.stores.stream_sessions import ACTIVE, StreamSession
from deployments.clients import Backends
from deployments.gateway import lifetimes
from deployments.gateway.bodies import json_body
from deployments.gateway.chats import Chats
from deployments.gateway.conversations import shown, stream
from deployments.gateway.conversations.live import FIRST_DELTA, Live
from deployments.gateway.conversations.records import Records, Stores
from deployments.gateway.conversations.sessions import Sessions, new_id
from deployments.gateway.conversations.wire import ConversationRequest, MessageRequest
from deployments.gateway.parsing import parse
from deployments.gateway.principal import principal_of

PREFIX = "/api/v1"
STREAM_HEADERS = {"cache-control": "no-cache", "x-accel-buffering": "no"}  # no proxy may hold tokens back
STATUS_S = 0.1  # an answer that fails within it has the error's status, and is no stream
STORING_S = 30.0  # for a database that is slow just then
LARGEST_OFFSET = 2**31 - 1  # of a PostgreSQL integer
ID = re.compile(r"[a-z]+_[0-9a-f]{24}")
EVENT_ID = re.compile(r"[0-9]{1,15}")
FIELDS = {"title": "title", "model": "model", "systemPrompt": "system_prompt", "metadata": "metadata"}

Limit = Annotated[int, Query(ge=1, le=200)]
Offset = Annotated[int, Query(ge=0, le=LARGEST_OFFSET)]
Status = Literal["active", "completed", "terminated", "error"]


def router(backends: Backends, settings: Settings, chats: Chats, engine: Engine) -> APIRouter:
    """The routes under `/api/v1/conversations` and `/api/v1/stream-sessions`."""
    records = Records(engine, settings)
    sessions = Sessions(backends, settings, chats, records)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        await sessions.close()

    routes = APIRouter(prefix=PREFIX, lifespan=lifespan)
    _conversation_routes(routes, records, backends, chats)
    _message_routes(routes, records, sessions, chats)
    _session_routes(routes, records, sessions)
    return routes


def _conversation_routes(routes: APIRouter, records: Records, backends: Backends, chats: Chats) -> None:
    body = json_body(ConversationRequest)
    route = partial(routes.api_route, tags=["Conversations"])

    async def values(request: Request) -> dict[str, Any]:
        wanted, principal = parse(ConversationRequest, await request.body()), principal_of(request)
        if wanted.model is not None and not (wanted.model in backends.models and principal.may_ask(wanted.model)):
            raise chats.unknown(wanted.model, principal)
        given = {FIELDS[name]: getattr(wanted, name) for name in wanted.model_fields_set}
        return given if given.get("metadata", {}) is not None else {**given, "metadata": {}}

    @route("/conversations", methods=["POST"], status_code=201, summary="Begin a conversation", openapi_extra=body)
    async def create(request: Request) -> dict[str, Any]:
        given, owner, identity = await values(request), _owner(request), new_id("conv")
        made = await records.do(lambda stores: stores.conversations.create(id=identity, owner=owner, values=given))
        return shown.conversation(made)

    @route("/conversations", methods=["GET"], summary="Your conversations, what changed last first")
    async def page(request: Request, limit: Limit = 50, offset: Offset = 0) -> dict[str, Any]:
        owner = _owner(request)
        total, found = await records.do(
            lambda stores: stores.conversations.page(owner=owner, limit=limit, offset=offset)
        )
        listed = [shown.conversation(one) for one in found]
        return {"conversations": listed, "total": total, "limit": limit, "offset": offset}

    @route("/conversations/{conversation_id}", methods=["GET"], summary="One conversation")
    async def show(request: Request, conversation_id: str) -> dict[str, Any]:
        owner, identity = _owner(request), _conversation(conversation_id)
        return shown.conversation(await records.do(lambda stores: stores.conversations.get(identity, owner=owner)))

    @route(
        "/conversations/{conversation_id}",
        methods=["PATCH"],
        summary="Change some of its fields",
        openapi_extra=body,
    )
    async def change(request: Request, conversation_id: str) -> dict[str, Any]:
        given, owner, identity = await values(request), _owner(request), _conversation(conversation_id)
        return shown.conversation(
            await records.do(lambda stores: stores.conversations.change(identity, owner=owner, values=given))
        )

    @route("/conversations/{conversation_id}", methods=["DELETE"], summary="Forget it and all in it")
    async def remove(request: Request, conversation_id: str) -> dict[str, Any]:
        owner, identity = _owner(request), _conversation(conversation_id)
        await records.do(lambda stores: stores.conversations.remove(identity, owner=owner))
        return {"id": identity, "deleted": True}


def _message_routes(routes: APIRouter, records: Records, sessions: Sessions, chats: Chats) -> None:
    @routes.get(
        "/conversations/{conversation_id}/messages", tags=["Conversations"], summary="Its messages, oldest first"
    )
    async def page(
        request: Request, conversation_id: str, limit: Limit = 100, offset: Offset = 0
    ) -> dict[str, Any]:
        owner, identity = _owner(request), _conversation(conversation_id)

        def read(stores: Stores) -> tuple[Any, ...]:
            # What answers say so far is read first: one that ends in between is then read whole.
            partial = stores.sessions.partial(identity)
            return partial, *stores.conversations.messages(identity, owner=owner, limit=limit, offset=offset)

        partial, total, found = await records.do(read, settled=owner)
        listed = [
            shown.message(one, partial=partial.get(one.id) if one.status == talks.STREAMING else None)
            for one in found
        ]
        return {"messages": listed, "total": total, "limit": limit, "offset": offset}

    @routes.post(
        "/conversations/{conversation_id}/messages",
        tags=["Conversations"],
        summary="Say something; the answer is streamed, or whole with stream false",
        openapi_extra=json_body(MessageRequest),
    )
    async def send(request: Request, conversation_id: str) -> Response:
        identity = _conversation(conversation_id)
        wanted = parse(MessageRequest, await request.body())
        session, live = await sessions.begin(
            identity, wanted, request_id=request.state.request_id, principal=principal_of(request)
        )
        if wanted.stream:
            await live.begun(STATUS_S)
            if live.error is not None and live.over and live.last < FIRST_DELTA:
                raise live.error
            return _streamed(sessions.follower.follow(session, after=0))
        work = _whole(sessions, records, session, live)
        # The generation has its own time limit; this one is for storing its end.
        wait_s = chats.timeout_s + STORING_S
        return JSONResponse(await lifetimes.while_connected(request, work, timeout_s=wait_s))


def _session_routes(routes: APIRouter, records: Records, sessions: Sessions) -> None:
    route = partial(routes.api_route, tags=["Stream sessions"])

    @route("/stream-sessions", methods=["GET"], summary="Your stream sessions, newest first")
    async def page(
        request: Request,
        status: Status | None = None,
        conversation_id: Annotated[str | None, Query(alias="conversationId", max_length=64)] = None,
        limit: Limit = 50,
        offset: Offset = 0,
    ) -> dict[str, Any]:
        owner = _owner(request)
        which = None if conversation_id is None else _conversation(conversation_id)
        total, found = await records.do(
            lambda stores: stores.sessions.page(
                owner=owner, status=status, conversation_id=which, limit=limit, offset=offset
            ),
            settled=owner,
        )
        listed = [shown.session(one) for one in found]
        return {"streamSessions": listed, "total": total, "limit": limit, "offset": offset}

    @route("/stream-sessions/{session_id}", methods=["GET"], summary="One stream session, with its text so far")
    async def show(request: Request, session_id: str) -> dict[str, Any]:
        return shown.session(await sessions.find(_session(session_id), owner=_owner(request)))

    @route("/stream-sessions/{session_id}/stop", methods=["POST"], summary="Stop it, wherever it runs")
    async def stop(request: Request, session_id: str) -> Response:
        stopped = await sessions.stop(_session(session_id), owner=_owner(request))
        return JSONResponse(shown.session(stopped), status_code=202 if stopped.status == ACTIVE else 200)

    @route(
        "/stream-sessions/{session_id}/events",
        methods=["GET"],
        summary="Its events after Last-Event-ID, live until its end; 204 where nothing comes any more",
    )
    async def events(
        request: Request, session_id: str, after: Annotated[int, Query(ge=0, lt=10**15)] = 0
    ) -> Response:
        session = await sessions.find(_session(session_id), owner=_owner(request))
        seen = _last_event(request, after)
        if sessions.follower.over(session, after=seen):
            return Response(status_code=204)  # tells an EventSource not to connect again
        return _streamed(sessions.follower.follow(session, after=seen))


async def _whole(sessions: Sessions, records: Records, session: StreamSession, live: Live) -> dict[str, Any]:
    """The end of an answer. Raises the error that it ended with."""
    async with aclosing(sessions.follower.follow(session, after=0)) as events:
        async for _ in events:
            pass
    if live.error is not None:
        raise live.error

    def read(stores: Stores) -> dict[str, Any]:
        found = stores.sessions.get(session.id, owner=session.owner)
        answer = stores.conversations.message(found.message_id)
        assert answer is not None  # it goes with its session
        return shown.ended(found, answer)

    return await records.do(read)


def _streamed(events: AsyncGenerator[bytes, None]) -> Response:
    guarded = lifetimes.guarded(events, failed=stream.failed)
    return StreamingResponse(guarded, media_type="text/event-stream", headers=STREAM_HEADERS)


def _owner(request: Request) -> str:
    return principal_of(request).owner


def _conversation(identity: str) -> str:
    if ID.fullmatch(identity) is None:
        raise talks.unknown(identity)
    return identity


def _session(identity: str) -> str:
    if ID.fullmatch(identity) is None:
        raise stream_sessions.unknown(identity)
    return identity


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
