"""How long the calls of a replica wait for their first token: what autoscaling looks at."""

from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import monotonic

from cluster.types import ChatCall, EngineTiming
from deployments.fleet.autoscaling import QUEUED, TTFT, WAITING

WINDOW_S = 30.0
MOST = 1024  # calls of the window that are remembered: enough for a p95
HEARD_S = 5.0  # a gateway that has sent nothing for that long has nobody waiting


class Waits:
    """Of one replica. gateways: how many there are; they share the load, so each has about the same queue."""

    def __init__(self, *, gateways: int = 1, clock: Callable[[], float] = monotonic) -> None:
        self._gateways = gateways
        self._clock = clock
        self._waiting = 0
        self._firsts: deque[tuple[float, float]] = deque(maxlen=MOST)  # when, and milliseconds
        self._heard = (0, -HEARD_S)  # requests in a gateway's queue, and when it said so

    @contextmanager
    def stream(self, call: ChatCall) -> Iterator[Callable[[], None]]:
        """`with` it while a stream is answered; it gives what is called at the first token."""
        self._hear(call)
        begun = self._clock()
        first = False
        self._waiting += 1

        def began() -> None:
            nonlocal first
            if not first:
                first = True
                self._waiting -= 1
                self._first(call.waited_s + self._clock() - begun)

        try:
            yield began
        finally:
            if not first:
                self._waiting -= 1

    def whole(self, call: ChatCall, timing: EngineTiming) -> None:
        """A whole answer is there. When its first token came is known only where the engine says it."""
        self._hear(call)
        if timing.prefill_s is not None:
            self._first(call.waited_s + (timing.queue_s or 0.0) + timing.prefill_s)

    def figures(self) -> dict[str, float]:
        """For the policy, by the names that it knows them by; 0 where there is nothing to tell."""
        now = self._clock()
        while self._firsts and self._firsts[0][0] < now - WINDOW_S:
            self._firsts.popleft()
        queued, heard = self._heard
        return {
            TTFT: _p95([milliseconds for _, milliseconds in self._firsts]),
            WAITING: float(self._waiting),
            QUEUED: float(queued * self._gateways) if now - heard < HEARD_S else 0.0,
        }

    def _hear(self, call: ChatCall) -> None:
        self._heard = (call.queued, self._clock())

    def _first(self, seconds: float) -> None:
        self._firsts.append((self._clock(), 1000 * seconds))


def _p95(values: list[float]) -> float:
    if not values:
        return 0.0
    return sorted(values)[min(len(values) - 1, int(0.95 * len(values)))]
