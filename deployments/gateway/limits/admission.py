"""The queue in front of one model: fair_queue's policy, with requests that really wait."""

import asyncio
import math
from collections import deque
from collections.abc import Callable, Iterator
from time import monotonic

from cluster.errors import Overloaded
from cluster.types import Priority
from deployments.gateway.limits.fair_queue import FairQueue, QueueFull, Ticket
from deployments.gateway.metrics import NoMetrics, QueueMetrics

LEAST_RETRY_S, MOST_RETRY_S = 1.0, 60.0
REMEMBERED_ENDS = 32


class Waiting(Ticket):
    """A ticket with the future that its request awaits."""

    __slots__ = ("begun",)

    def __init__(self, *, owner: str, priority: Priority, cost: float, begun: asyncio.Future[None]) -> None:
        super().__init__(owner=owner, priority=priority, cost=cost)
        self.begun = begun


class ModelQueue:
    """Lets so many requests to a model at once, the others in a fair order.

    max_wait_s: of an interactive request; a background one waits as long as its caller does.
    """

    def __init__(
        self, model: str, places: FairQueue, *, max_wait_s: float, clock: Callable[[], float] = monotonic
    ) -> None:
        self._model = model
        self._places = places
        self._max_wait_s = max_wait_s
        self._clock = clock
        self._ends: deque[float] = deque(maxlen=REMEMBERED_ENDS)
        self._loop: asyncio.AbstractEventLoop | None = None  # of those that wait
        self._size: tuple[int, int] | None = None  # wished for, and not yet in force
        self.metrics: QueueMetrics = NoMetrics()

    @property
    def running(self) -> int:
        """Requests that have a place."""
        return sum(self._places.running.values())

    @property
    def waiting(self) -> int:
        """Requests that wait for one."""
        return len(self._places)

    @property
    def places(self) -> int:
        """How many requests it lets to the model at once."""
        return self._places.at_once

    def resize(self, at_once: int, background_places: int) -> None:
        """Have so many places; whoever has one keeps it. From any thread."""
        self._size = (at_once, background_places)
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._resized)

    def predicted_wait_s(self, priority: Priority) -> float | None:
        """How long a request that comes now will wait, by how fast places came free lately; None: nobody knows."""
        if self._places.open(priority):
            return 0.0
        pace = self._pace_s()
        return None if pace is None else pace * (self.waiting + 1)

    async def enter(self, owner: str, priority: Priority, cost: float) -> float:
        """Take a place, and say how many seconds that took. Raises Overloaded. Cancelling it waits no longer."""
        if self._size is not None:
            self._resized()
        if self._places.start(priority):
            return 0.0
        since = self._clock()
        self._loop = loop = asyncio.get_running_loop()
        ticket = Waiting(owner=owner, priority=priority, cost=cost, begun=loop.create_future())
        try:
            evicted = self._places.wait(ticket)
        except QueueFull:
            self._refused("full")
            raise self._overloaded("Too many requests wait") from None
        if isinstance(evicted, Waiting) and not evicted.begun.done():
            self._refused("gave_way")
            evicted.begun.set_exception(self._overloaded("Too many requests wait"))
        self._show()
        timer = None
        if priority is Priority.INTERACTIVE:
            timer = loop.call_later(self._max_wait_s, self._expire, ticket)
        try:
            await ticket.begun
        except asyncio.CancelledError:
            if not self._places.remove(ticket) and _has_place(ticket):
                self.leave(priority)  # it came in the very moment in which nobody wanted it any more
            raise
        finally:
            if timer is not None:
                timer.cancel()
            self._show()
        waited = self._clock() - since
        self.metrics.queue_waited(self._model, waited)
        return waited

    def leave(self, priority: Priority) -> None:
        """Give the place to the next."""
        if len(self._places):
            self._ends.append(self._clock())
        else:
            self._ends.clear()  # a pace is one of a time in which somebody waited all along
        self._begin(self._places.end(priority))

    def _begin(self, tickets: Iterator[Ticket]) -> None:
        for ticket in tickets:
            assert isinstance(ticket, Waiting)
            if ticket.begun.done():  # cancelled, and its task has not run since
                self.leave(ticket.priority)
            else:
                ticket.begun.set_result(None)

    def _expire(self, ticket: Waiting) -> None:
        if self._places.remove(ticket) and not ticket.begun.done():
            self._refused("too_long")
            ticket.begun.set_exception(self._overloaded(f"No place came free in {self._max_wait_s:g} s"))

    def _overloaded(self, what: str) -> Overloaded:
        return Overloaded(
            f"{what} for {self._model}", hint="come back later", retry_after_s=self._expected_wait_s()
        )

    def _expected_wait_s(self) -> float:
        """How long those that wait now will take, by how fast places came free lately."""
        pace = self._pace_s()
        if pace is None:
            return LEAST_RETRY_S
        return min(MOST_RETRY_S, max(LEAST_RETRY_S, float(math.ceil(pace * (self.waiting + 1)))))

    def _pace_s(self) -> float | None:
        """Seconds between two places that come free; None before two of them did."""
        if len(self._ends) < 2:
            return None
        return (self._clock() - self._ends[0]) / (len(self._ends) - 1)

    def _resized(self) -> None:
        if self._size is None:
            return
        (self._places.at_once, self._places.background_places), self._size = self._size, None
        self._begin(self._places.begin())
        self._show()

    def _refused(self, reason: str) -> None:
        self.metrics.queue_refused(self._model, reason=reason, waiting=self.waiting, places=self.places)

    def _show(self) -> None:
        self.metrics.queue_waiting(self._model, self.waiting, places=self.places)


def _has_place(ticket: Waiting) -> bool:
    return ticket.begun.done() and not ticket.begun.cancelled() and ticket.begun.exception() is None
