"""A stream session's events as they are sent: those after the last one seen, then live until the end.

Event 1 is `session`, then come `delta`s, and `done` or `error` is the last. In the process that answers they
come from memory, elsewhere from the database, with the same ids.
"""

import asyncio
import json
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

from cluster.errors import HeliostatError, StreamSessionNotFound
from cluster.settings.apis import ConversationSettings
from cluster.stores.conversations import ERROR
from cluster.stores.stream_sessions import ACTIVE, StreamSession
from deployments.gateway.conversations import shown
from deployments.gateway.conversations.live import FIRST_DELTA, Live
from deployments.gateway.conversations.recorder import Recorder
from deployments.gateway.conversations.records import Records, Stores
from deployments.gateway.errors import own

SESSION_EVENT = FIRST_DELTA - 1
PAGE = 64  # batches of deltas that are read at once: some seconds of an answer
PING_S = 15.0  # of silence: a comment then keeps proxies from hanging up
PING = b": ping\n\n"
WATCHES = 3  # notes of a reader elsewhere in the time that an unread answer goes on

SESSION, DELTA, DONE, ERROR_EVENT = "session", "delta", "done", "error"

Deltas = list[tuple[int, str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """One event of a session. number: its id, where it has one. kind: SESSION, DELTA, DONE or ERROR_EVENT."""

    number: int | None
    kind: str
    data: dict[str, Any]


class Follower:
    """Reads sessions' events, wherever they run."""

    def __init__(self, records: Records, recorder: Recorder, settings: ConversationSettings) -> None:
        self._records = records
        self._recorder = recorder
        self._poll_s = settings.flush_ms / 1000
        self._watch_s = settings.resume_grace_s / WATCHES

    async def follow(self, session: StreamSession, *, after: int) -> AsyncGenerator[bytes, None]:
        """Server-sent events past an id, until the session's end."""
        async with aclosing(self.told(session, after=after)) as news:
            async for events in news:
                yield b"".join(map(_written, events)) or PING

    async def told(self, session: StreamSession, *, after: int) -> AsyncGenerator[list[Told], None]:
        """The same as values, those together that came together; nothing after a while of silence."""
        if after < SESSION_EVENT:
            yield [Told(number=SESSION_EVENT, kind=SESSION, data=shown.session(session))]
            after = SESSION_EVENT
        live = self._recorder.find(session.id)
        source = self._remembered(live, after) if live is not None else self._stored(session, after)
        async with aclosing(source) as batches:
            async for deltas in batches:
                yield [Told(number=number, kind=DELTA, data={"text": text}) for number, text in deltas]
                after = deltas[-1][0] if deltas else after
        if (last := await self._last(session, after, live)) is not None:
            yield [last]

    def over(self, session: StreamSession, *, after: int) -> bool:
        """Whether nothing comes past an id any more."""
        return session.status != ACTIVE and after > session.last_event

    async def _remembered(self, live: Live, position: int) -> AsyncGenerator[Deltas, None]:
        """Deltas of a session that runs here; a reader that lags gets what memory has let go from the store."""
        with live.read():
            while True:
                over = live.over
                deltas = live.after(position)
                if deltas is None:
                    deltas = await self._page(live.id, position)
                if deltas:
                    position = deltas[-1][0]
                    yield deltas
                elif over:
                    return
                else:
                    try:
                        async with asyncio.timeout(PING_S):
                            await live.news()
                    except TimeoutError:
                        yield []

    async def _stored(self, session: StreamSession, position: int) -> AsyncGenerator[Deltas, None]:
        """Deltas of a session that runs elsewhere, or has ended."""
        clock = asyncio.get_running_loop().time
        watched, sent = -self._watch_s, clock()

        def look(stores: Stores) -> tuple[str, Deltas]:
            # The status first: what is stored before the end is then seen after it.
            status = stores.sessions.get(session.id, owner=session.owner).status
            return status, stores.sessions.events(session.id, after=position, limit=PAGE)

        while True:
            try:
                status, deltas = await self._records.do(look, settled=session.owner)
            except StreamSessionNotFound:
                return
            if status == ACTIVE and clock() - watched >= self._watch_s:
                watched = clock()
                await self._records.do(lambda stores: stores.sessions.watch(session.id))
            if deltas:
                position, sent = deltas[-1][0], clock()
                yield deltas
            elif status != ACTIVE:
                return
            else:
                if clock() - sent >= PING_S:
                    sent = clock()
                    yield []
                await asyncio.sleep(self._poll_s)

    async def _page(self, session_id: str, position: int) -> Deltas:
        return await self._records.do(lambda stores: stores.sessions.events(session_id, after=position, limit=PAGE))

    async def _last(self, session: StreamSession, after: int, live: Live | None) -> Told | None:
        """The event that ends the stream; None where it has been seen."""

        def read(stores: Stores) -> tuple[StreamSession, Any]:
            found = stores.sessions.get(session.id, owner=session.owner)
            return found, stores.conversations.message(found.message_id)

        try:
            found, message = await self._records.do(read)
        except StreamSessionNotFound as gone:
            why = live.error if live is not None and live.error is not None else gone
            return _failed(why, after + 1)
        if after > found.last_event:
            return None
        data = shown.ended(found, message)
        if found.status == ERROR:
            error = {"error": shown.error(found), **data}
            return Told(number=found.last_event + 1, kind=ERROR_EVENT, data=error)
        return Told(number=found.last_event + 1, kind=DONE, data=data)


def failed(why: HeliostatError) -> bytes:
    """The last event of a stream that ends with an error."""
    return _written(_failed(why, None))


def _failed(why: HeliostatError, number: int | None) -> Told:
    return Told(number=number, kind=ERROR_EVENT, data={"error": own(why)})


def _written(event: Told) -> bytes:
    text = json.dumps(event.data, ensure_ascii=False, separators=(",", ":"))
    head = "" if event.number is None else f"id: {event.number}\n"
    return f"{head}event: {event.kind}\ndata: {text}\n\n".encode(errors="replace")
