"""Who goes next to a model, pure: a bound on what runs, and a fair order among those that wait.

Interactive requests go before background ones, which never take more than their share of the places, so that
there is one for a person. Within a priority the owners take turns by what they cost: an owner's next request
starts where its last one, and nobody's earlier turn, has ended (start-time fair queueing: what deficit
round-robin approximates, with no round to walk). So a hundred requests of one owner hold up one of another's by
one turn.
"""

import heapq
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count

from cluster.types import Priority

REMEMBERED_OWNERS = 1024  # turns that are kept of owners who do not wait just now


@dataclass(slots=True, kw_only=True, eq=False)
class Ticket:
    """One waiting request. cost: in tokens, or whatever all of a queue's tickets count in."""

    owner: str
    priority: Priority
    cost: float


class QueueFull(Exception):
    """There is no place left to wait."""


class Lane:
    """The waiting requests of one priority."""

    def __init__(self) -> None:
        self._waiting: dict[str, deque[Ticket]] = {}
        self._turns: list[tuple[float, int, str]] = []  # a heap: when an owner's next request starts
        self._turn: dict[str, int] = {}  # the number of each waiting owner's turn; other entries are stale
        self._ended: dict[str, float] = {}
        self._numbers = count()
        self._time = 0.0
        self._size = 0

    def __len__(self) -> int:
        return self._size

    def waiting(self, owner: str) -> int:
        """How many of an owner's requests wait."""
        return len(self._waiting.get(owner, ()))

    def push(self, ticket: Ticket) -> None:
        """Put a request at its owner's end."""
        if ticket.owner not in self._waiting:
            self._waiting[ticket.owner] = deque()
            self._give_turn(ticket.owner)
        self._waiting[ticket.owner].append(ticket)
        self._size += 1

    def pop(self) -> Ticket:
        """The next one. There must be one."""
        while True:
            start, number, owner = heapq.heappop(self._turns)
            if self._turn.get(owner) == number:
                break
        ticket = self._waiting[owner].popleft()
        self._time = max(self._time, start)
        self._ended[owner] = start + ticket.cost
        self._size -= 1
        if self._waiting[owner]:
            self._give_turn(owner)
        else:
            self._leave(owner)
        return ticket

    def remove(self, ticket: Ticket) -> bool:
        """Take a request out; whether it was there."""
        queue = self._waiting.get(ticket.owner)
        if queue is None or ticket not in queue:
            return False
        queue.remove(ticket)
        self._size -= 1
        if not queue:
            self._leave(ticket.owner)
        return True

    def longest(self) -> str | None:
        """The owner with the most requests waiting, None where nobody waits."""
        return max(self._waiting, key=lambda owner: len(self._waiting[owner]), default=None)

    def newest(self, owner: str) -> Ticket:
        """An owner's last request, taken out. The owner must wait."""
        ticket = self._waiting[owner][-1]
        self.remove(ticket)
        return ticket

    def _give_turn(self, owner: str) -> None:
        number = self._turn[owner] = next(self._numbers)
        heapq.heappush(self._turns, (max(self._time, self._ended.get(owner, 0.0)), number, owner))

    def _leave(self, owner: str) -> None:
        del self._waiting[owner], self._turn[owner]
        if not self._waiting:  # nobody is owed anything
            self._turns.clear()
            self._ended.clear()
            self._time = 0.0
        elif len(self._ended) > REMEMBERED_OWNERS:
            self._ended = {name: end for name, end in self._ended.items() if end > self._time}


@dataclass(slots=True, kw_only=True)
class FairQueue:
    """The places of a model, and who waits for one. at_once: places.

    most_waiting: of each priority, so that people who come in numbers push no batch out; None is no bound.
    background_places: how many of them background requests may take, at least one.
    """

    at_once: int
    background_places: int
    most_waiting: int | None = None
    running: dict[Priority, int] = field(default_factory=lambda: dict.fromkeys(Priority, 0))
    _lanes: dict[Priority, Lane] = field(default_factory=lambda: {priority: Lane() for priority in Priority})

    def __len__(self) -> int:
        return sum(len(lane) for lane in self._lanes.values())

    def start(self, priority: Priority) -> bool:
        """Take a place at once, where one is free and nobody is before."""
        if not self.open(priority):
            return False
        self.running[priority] += 1
        return True

    def open(self, priority: Priority) -> bool:
        """Whether a place is free and nobody is before."""
        ahead = len(self._lanes[Priority.INTERACTIVE])
        if priority is Priority.BACKGROUND:
            ahead += len(self._lanes[priority])
        return not ahead and self._free(priority)

    def wait(self, ticket: Ticket) -> Ticket | None:
        """Wait for a place. Returns the request that had to give way, if one had. Raises QueueFull.

        Where a priority has no place left to wait, the newest request of whoever has most waiting there gives
        way; where that is the newcomer's own, the newcomer is refused.
        """
        evicted = None
        if self.most_waiting is not None and len(self._lanes[ticket.priority]) >= self.most_waiting:
            evicted = self._give_way(ticket)
        self._lanes[ticket.priority].push(ticket)
        return evicted

    def remove(self, ticket: Ticket) -> bool:
        """Wait no longer; whether the request was waiting."""
        return self._lanes[ticket.priority].remove(ticket)

    def end(self, priority: Priority) -> Iterator[Ticket]:
        """Free a place; the requests that begin now, with their places taken."""
        self.running[priority] -= 1
        yield from self.begin()

    def begin(self) -> Iterator[Ticket]:
        """The requests that there are places for, with their places taken."""
        while (ticket := self._next()) is not None:
            self.running[ticket.priority] += 1
            yield ticket

    def _next(self) -> Ticket | None:
        for priority in (Priority.INTERACTIVE, Priority.BACKGROUND):
            if len(self._lanes[priority]):
                return self._lanes[priority].pop() if self._free(priority) else None
        return None

    def _free(self, priority: Priority) -> bool:
        if sum(self.running.values()) >= self.at_once:
            return False
        return priority is Priority.INTERACTIVE or self.running[priority] < self.background_places

    def _give_way(self, newcomer: Ticket) -> Ticket:
        lane = self._lanes[newcomer.priority]
        owner = lane.longest()
        if owner is None or lane.waiting(owner) <= lane.waiting(newcomer.owner) + 1:
            raise QueueFull
        return lane.newest(owner)
