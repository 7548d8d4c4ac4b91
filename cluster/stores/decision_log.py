"""What one part of the cluster decides, each decision an event: kept in memory, logged, stored in small batches.

Recording takes microseconds and never waits. Decisions alike that come faster than somebody reads become one
event with their count, so that a storm of refusals is no storm of writes.
"""

import asyncio
import logging
import uuid
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from time import monotonic
from typing import Any

from cluster.settings.routing import EventSettings
from cluster.stores.database import now
from cluster.stores.events import DecisionEvent, EventStore

logger = logging.getLogger(__name__)

FLEET = "fleet"  # the source of what happens to models: the one manager of the whole cluster
FLEET_KINDS = (
    *("load", "load_waits", "load_again", "ready", "load_failed"),
    *("evict", "unload", "unloaded", "pin", "unpin", "lapse"),
)

FLUSH_S = 1.0
ALIKE_A_SECOND = 10  # events of one kind, model and reason that are told one by one
MOST_PENDING = 2000  # events that wait for a database that does not answer; the oldest give way
PRUNE_EVERY = 60  # writes


class _Alike:
    """Decisions of one kind, model and reason within a second."""

    __slots__ = ("began", "event", "told", "untold")

    def __init__(self, began: float) -> None:
        self.began = began
        self.told = 0
        self.untold = 0
        self.event: DecisionEvent | None = None


class DecisionLog:
    """The decisions of one source, a gateway or the fleet. store: those of all; None keeps them in memory alone.

    source: what its events are told apart by; None is a name of its own.
    """

    def __init__(
        self,
        settings: EventSettings | None = None,
        *,
        store: EventStore | None = None,
        source: str | None = None,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._settings = settings or EventSettings()
        self.store = store
        self._clock = clock
        self.gateway = source or uuid.uuid4().hex[:12]
        self.recent: deque[DecisionEvent] = deque(maxlen=self._settings.recent)
        self._pending: deque[DecisionEvent] = deque(maxlen=MOST_PENDING)
        self._alike: dict[tuple[str, str, str], _Alike] = {}
        self._writer: asyncio.Task[None] | None = None
        self._writing = asyncio.Lock()
        self._writes = 0

    @property
    def every_route(self) -> bool:
        """Whether each request's route is an event."""
        return self._settings.every_route

    def record(
        self,
        kind: str,
        model: str,
        reason: str,
        *,
        request_id: str | None = None,
        warn: bool = False,
        **inputs: Any,
    ) -> None:
        """A decision was made. warn: it is also logged as a warning. inputs: JSON values it was made on."""
        key = (kind, model, reason)
        alike, moment = self._alike.get(key), self._clock()
        if alike is None or moment - alike.began >= 1.0:
            if alike is not None:
                self._tell_untold(alike)
            alike = self._alike[key] = _Alike(moment)
        event = DecisionEvent(
            at=now(),
            gateway=self.gateway,
            kind=kind,
            model=model,
            reason=reason,
            request_id=request_id,
            inputs=inputs,
        )
        if alike.told < ALIKE_A_SECOND:
            alike.told += 1
            self._tell(event, warn=warn)
        else:
            alike.untold += 1
            alike.event = event
            self._wake()

    async def flush(self) -> None:
        """Store what is pending. Raises what the database raises; what it did not take stays pending."""
        self._settle()
        store = self.store
        if store is None:
            return
        async with self._writing:
            batch = list(self._pending)
            if not batch:
                return
            self._pending.clear()
            try:
                await asyncio.to_thread(store.add, batch)
            except Exception:  # not a cancellation: the thread goes on and stores them
                self._pending.extendleft(reversed(batch))
                raise
            self._writes += 1
            if self._writes % PRUNE_EVERY == 1:
                settings = self._settings
                await asyncio.to_thread(store.prune, kept=settings.kept, keep_days=settings.keep_days)

    def _tell(self, event: DecisionEvent, *, warn: bool = False) -> None:
        self.recent.append(event)
        if self.store is not None:
            self._pending.append(event)
        level = logging.WARNING if warn else logging.INFO
        if logger.isEnabledFor(level):
            extra = {"kind": event.kind, "model": event.model, "reason": event.reason, **event.inputs}
            extra |= {"request_id": event.request_id, "count": event.count}
            logger.log(level, "%s of %s: %s", event.kind, event.model, event.reason, extra={"decision": extra})
        self._wake()

    def _tell_untold(self, alike: _Alike) -> None:
        if alike.event is not None and alike.untold:
            self._tell(replace(alike.event, count=alike.untold))
            alike.untold, alike.event = 0, None

    def _settle(self) -> None:
        """Tell of what was only counted, and forget what is over."""
        moment = self._clock()
        for key, alike in list(self._alike.items()):
            self._tell_untold(alike)
            if moment - alike.began >= 1.0:
                del self._alike[key]

    def _wake(self) -> None:
        """See to it that the pending events are stored soon. A gateway with nothing to store has no task."""
        if self._writer is not None and not self._writer.done():
            return
        try:
            self._writer = asyncio.get_running_loop().create_task(self._write())
        except RuntimeError:  # outside of an event loop: the next event within one brings this along
            return

    async def _write(self) -> None:
        while self._pending or any(alike.untold for alike in self._alike.values()):
            await asyncio.sleep(FLUSH_S)
            try:
                await self.flush()
            except Exception:  # requests go on, whatever the database has
                logger.warning("events are not stored; they wait in memory", exc_info=True)
                await asyncio.sleep(10 * FLUSH_S)
