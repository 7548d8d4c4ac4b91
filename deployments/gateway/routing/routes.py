"""`GET /api/v1/events`: what the gateways decided, and why. For admins: it names everybody's requests."""

import asyncio
import json
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from functools import partial
from typing import Annotated

from fastapi import APIRouter, FastAPI, Query, Request
from starlette.responses import JSONResponse, Response, StreamingResponse

from cluster.errors import BadRequest, NotFound
from cluster.stores.events import DecisionEvent, EventStore
from deployments.gateway.lifetimes import guarded
from deployments.gateway.routing.event_log import KINDS, EventLog
from deployments.gateway.routing.scale_watch import ScaleWatch

MOST = 1000
POLL_S = 0.5  # how late a follower is at most
QUIET_S = 15.0  # a comment goes out after that long without an event, so that proxies keep the stream
BEHIND = 200  # ids that are read again: of two batches written at once, the later one may have the lower ids

Kinds = Annotated[list[str], Query(alias="kind", description=f"Only these: {', '.join(KINDS)}. May be repeated.")]
Models = Annotated[list[str], Query(alias="model", description="Only of these models. May be repeated.")]
Since = Annotated[str | None, Query(description="Only later ones: an ISO 8601 time, or seconds back such as 90s")]
Limit = Annotated[int, Query(ge=1, le=MOST, description="The newest so many.")]


def router(log: EventLog, *, scaling: ScaleWatch | None = None) -> APIRouter:
    """The events' route. scaling: begun with it."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        if scaling is not None:
            scaling.begin()
        yield

    routes = APIRouter(prefix="/api/v1", tags=["Operations"], lifespan=lifespan)

    @routes.get("/events", summary="What the router decided, and why", response_model=None)
    async def list_events(
        request: Request,
        kind: Kinds = [],  # noqa: B006  # FastAPI copies it
        model: Models = [],  # noqa: B006
        since: Since = None,
        limit: Limit = 100,
        follow: Annotated[bool, Query(description="Go on as server-sent events, until you hang up")] = False,
    ) -> Response:
        unknown = sorted(set(kind) - set(KINDS))
        if unknown:
            raise BadRequest(f"No kind {unknown[0][:64]!r}", hint=f"there are {', '.join(KINDS)}", param="kind")
        moment = None if since is None else _moment(since)
        reader = _Reader(log, kind, model)
        if not follow:
            found = await reader.newest(limit=limit, since=moment)
            return JSONResponse({"object": "list", "data": [event.as_json() for event in found]})
        after = _last_event_id(request)
        return StreamingResponse(
            guarded(reader.follow(limit=limit, since=moment, after=after)),
            media_type="text/event-stream",
            headers={"cache-control": "no-cache", "x-accel-buffering": "no"},
        )

    return routes


class _Reader:
    """Reads the events of all gateways, this one's newest included; without a database, this one's alone."""

    def __init__(self, log: EventLog, kinds: Sequence[str], models: Sequence[str]) -> None:
        self._log = log
        self._kinds = kinds
        self._models = models

    async def newest(
        self, *, limit: int, since: datetime | None = None, after: int | None = None
    ) -> tuple[DecisionEvent, ...]:
        """Oldest first."""
        await self._log.flush()
        read = partial(self._store().newest, limit=limit, kinds=self._kinds, models=self._models)
        return await asyncio.to_thread(read, since=since, after=after)

    async def follow(self, *, limit: int, since: datetime | None, after: int | None) -> AsyncGenerator[bytes, None]:
        """What is there, then what comes. A client that comes back with Last-Event-ID misses nothing."""
        found = await self.newest(limit=limit if after is None else MOST, since=since, after=after)
        last = _newest_id(found) or after
        if last is None:
            last = await asyncio.to_thread(self._store().last_id)
        # Nothing older than this is news: it was left out on purpose, or told before.
        floor = min((event.id for event in found if event.id is not None), default=last + 1) - 1
        told: deque[int] = deque(maxlen=2 * MOST)
        yield b": the events so far, then those that come\n\n"
        quiet_s = 0.0
        while True:
            for event in found:
                if event.id is not None and event.id not in told:
                    told.append(event.id)
                    quiet_s = 0.0
                    yield f"id: {event.id}\nevent: {event.kind}\ndata: {json.dumps(event.as_json())}\n\n".encode()
            if quiet_s >= QUIET_S:
                quiet_s = 0.0
                yield b": nothing new\n\n"
            await asyncio.sleep(POLL_S)
            quiet_s += POLL_S
            last = max(last, _newest_id(found))
            found = await self.newest(limit=MOST, after=max(floor, last - BEHIND))

    def _store(self) -> EventStore:
        if self._log.store is None:
            raise NotFound("This gateway stores no events")
        return self._log.store


def _newest_id(events: Sequence[DecisionEvent]) -> int:
    return max((event.id for event in events if event.id is not None), default=0)


def _moment(said: str) -> datetime:
    try:
        if said.endswith("s") and float(said[:-1]) >= 0:
            return datetime.fromtimestamp(datetime.now(UTC).timestamp() - float(said[:-1]), UTC)
        moment = datetime.fromisoformat(said)
    except (ValueError, OverflowError, OSError):
        hint = "2026-05-01T12:00:00Z, or 90s for the last 90 seconds"
        raise BadRequest(f"since is no time: {said[:64]!r}", hint=hint, param="since") from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _last_event_id(request: Request) -> int | None:
    said = request.headers.get("last-event-id")
    if said is None:
        return None
    if not said.isdecimal() or len(said) > 18:
        raise BadRequest(
            f"Last-Event-ID is no event's id (got {said[:32]!r})", hint="send the id line of the last event"
        )
    return int(said)
