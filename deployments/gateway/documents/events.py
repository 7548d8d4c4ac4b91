"""A job's progress as server-sent events: each is the whole state, numbered, so that any may be read first."""

import asyncio
import json
import time
from collections.abc import AsyncGenerator, Awaitable, Callable

from starlette.requests import Request

from cluster.errors import BadRequest
from deployments.gateway.documents.intake import Standing

POLL_S = 0.3  # as often as a gateway writes
PING_S = 15.0  # of silence: a comment then keeps proxies from hanging up
PING = b": ping\n\n"

Look = Callable[[], Awaitable[Standing]]


async def follow(look: Look, first: Standing, *, after: int) -> AsyncGenerator[bytes, None]:
    """Events past a number, until the job's end. first: how far it was when it was asked for."""
    standing, seen, said_at = first, after, time.monotonic()
    while True:
        if standing.number > seen:
            seen, said_at = standing.number, time.monotonic()
            yield _event(standing)
        elif time.monotonic() - said_at >= PING_S:
            said_at = time.monotonic()
            yield PING
        if standing.over:
            return
        await asyncio.sleep(POLL_S)
        standing = await look()


def last_event(request: Request, after: int) -> int:
    """The last event that a client has seen: the header, as browsers send it again, before the query."""
    header = request.headers.get("last-event-id")
    if header is None or header == "":
        return after
    if not (header.isascii() and header.isdigit() and len(header) <= 18):
        raise BadRequest(
            f"Last-Event-ID is no event's id (got {header[:32]!r})", hint="send the id line of the last event"
        )
    return int(header)


def _event(standing: Standing) -> bytes:
    kind = standing.progress.state if standing.over else "progress"
    data = json.dumps(standing.told(), ensure_ascii=False)
    return f"id: {standing.number}\nevent: {kind}\ndata: {data}\n\n".encode(errors="replace")
