"""What has happened to the fleet's models: numbered, kept a while, told to whoever waits for it."""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable
from typing import Any

from cluster.types import ModelEvent

logger = logging.getLogger(__name__)

KEPT_EVENTS = 1000


class History:
    """One manager's events. record: told of each, where events are kept for longer; it may not wait."""

    def __init__(self, record: Callable[[ModelEvent], None] = lambda _: None) -> None:
        self._record = record
        self._events: deque[ModelEvent] = deque(maxlen=KEPT_EVENTS)
        self._changed = asyncio.Event()
        self.number = 0

    def tell(self, model: str, what: str, reason: str = "", *, code: str = "", **inputs: Any) -> None:
        """It has happened. reason: in words; code: as a stable word; inputs: JSON values it was decided on."""
        self.number += 1
        event = ModelEvent(
            number=self.number, at=time.time(), model=model, what=what, reason=reason, code=code, inputs=inputs
        )
        self._events.append(event)
        logger.info("%s %s%s", model, what, f": {reason}" if reason else "")
        self._record(event)
        self._changed.set()
        self._changed = asyncio.Event()

    def since(self, after: int) -> tuple[ModelEvent, ...]:
        """What has happened since the event of that number."""
        return tuple(event for event in self._events if event.number > after)

    async def changed(self, after: int, timeout_s: float) -> tuple[ModelEvent, ...]:
        """The same, waiting for something to happen; empty when the time is up."""
        try:
            async with asyncio.timeout(timeout_s):
                while self.number <= after:
                    await self._changed.wait()
        except TimeoutError:
            pass
        return self.since(after)
