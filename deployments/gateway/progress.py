"""How far something is, as server-sent events: each is its whole state, numbered, so that any may be read first.

A state's number is stored with it and counts its changes, so that every gateway tells the same events, and a client
that comes back with the number of the last one it saw gets what came after it.
"""

import asyncio
import json
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import Query
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from cluster.errors import BadRequest, NotFound, Unavailable
from deployments.gateway import lifetimes

POLL_S = 0.25  # what was noted is with the client well within a second
PING_S = 15.0  # of silence: a comment then keeps proxies from hanging up
UNBEGUN_S = 5.0  # a stream of what nobody has started ends then; an EventSource comes back by itself
PING = b": ping\n\n"
RETRY = b"retry: 1000\n\n"  # milliseconds until an EventSource connects again
DIGITS = 18  # of an event's number at most
STREAM_HEADERS = {"cache-control": "no-cache", "x-accel-buffering": "no"}  # no proxy may hold events back

Seen = Annotated[int, Query(ge=0, lt=10**DIGITS, description="The last event seen; Last-Event-ID goes before.")]


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """How something is at one moment. number: of the state. told: its JSON.

    begun: whether it was ever started. over: whether nothing comes any more.
    """

    number: int
    status: str
    over: bool
    begun: bool
    told: Mapping[str, Any]


Look = Callable[[], Awaitable[Standing]]


async def streamed(look: Look, *, after: int) -> Response:
    """The events past a number until the end; 204, which tells an EventSource to stop, where none will come."""
    first = await look()
    if first.over and first.number <= after:
        return Response(status_code=204)
    # A number that has not been told yet is of nothing that was: who names one misses no end by it.
    told = lifetimes.guarded(follow(look, first, after=min(after, first.number)))
    return StreamingResponse(told, media_type="text/event-stream", headers=STREAM_HEADERS)


async def follow(look: Look, first: Standing, *, after: int) -> AsyncGenerator[bytes, None]:
    """Events past a number. first: how it was when it was asked for."""
    standing, seen, said_at = first, after, time.monotonic()
    asked_at = said_at
    yield RETRY
    while True:
        if standing.number > seen:
            seen, said_at = standing.number, time.monotonic()
            yield _event(standing)
        elif time.monotonic() - said_at >= PING_S:
            said_at = time.monotonic()
            yield PING
        if standing.over or (not standing.begun and time.monotonic() - asked_at >= UNBEGUN_S):
            return
        await asyncio.sleep(POLL_S)
        try:
            standing = await look()
        except NotFound:  # it was deleted: whoever comes back is told so
            return
        except Unavailable:  # the database is busy or away for a moment; the next look says more
            continue


def last_event(request: Request, after: int) -> int:
    """The last event that a client has seen: the header, as browsers send it again, before the query."""
    header = request.headers.get("last-event-id")
    if header is None or header == "":
        return after
    if not (header.isascii() and header.isdigit() and len(header) <= DIGITS):
        raise BadRequest(
            f"Last-Event-ID is no event's id (got {header[:32]!r})", hint="send the id line of the last event"
        )
    return int(header)


def _event(standing: Standing) -> bytes:
    kind = standing.status if standing.over else "progress"
    data = json.dumps(standing.told, ensure_ascii=False)
    return f"id: {standing.number}\nevent: {kind}\ndata: {data}\n\n".encode(errors="replace")
