"""Whether people use a replica just now: background work that hears of it leaves them room."""

from collections.abc import Callable
from time import monotonic

from cluster.types import ChatCall, Priority

HEARD_S = 10.0  # who asked so lately may ask again: nobody reads an answer faster


class People:
    """Who asks one replica and waits for the answer."""

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._last = float("-inf")

    def heard(self, call: ChatCall) -> None:
        """A call has come."""
        if call.priority is Priority.INTERACTIVE:
            self._last = self._clock()

    @property
    def seen(self) -> bool:
        """Whether an interactive call came within the last seconds."""
        return self._clock() - self._last < HEARD_S
