"""A circuit breaker, pure: after failures in a row a target is left alone, then one request tries it again.

    closed ──(failures in a row)──→ open ──(cooldown)──→ half-open ──(a first byte)──→ closed
                                     ↑                       │
                                     └──────(a failure)──────┘

Time is an argument, in seconds of any clock that never goes back.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

PROBE_WAIT_S = 1.0  # advised while a probe is under way: it ends at any moment


class State(StrEnum):
    """What a breaker does with requests."""

    CLOSED = "closed"
    HALF_OPEN = "half_open"
    OPEN = "open"


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A breaker changed. failures: in a row, until now."""

    before: State
    after: State
    failures: int


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Permit:
    """Leave to ask the target once. epoch: the breaker's when it was given; of an older one nothing counts."""

    epoch: int
    probe: bool = False


class Breaker:
    """Of one target. Whoever asks it takes a permit, and says with it what came of that, once at the end.

    failures: in a row, that open it. changed: told of every change of state.
    """

    def __init__(
        self, *, failures: int = 5, cooldown_s: float = 60.0, changed: Callable[[Change], None] = lambda _: None
    ) -> None:
        self._limit = failures
        self._cooldown_s = cooldown_s
        self._changed = changed
        self._state = State.CLOSED
        self._failures = 0
        self._since = 0.0  # when it opened
        self._probe: Permit | None = None
        self._probed = 0.0
        self._epoch = 0

    @property
    def state(self) -> State:
        """As the last request left it: an open one turns half-open with the request that tries it."""
        return self._state

    @property
    def failures(self) -> int:
        """In a row, until now."""
        return self._failures

    def refused_for(self, now: float) -> float:
        """Seconds until the target may be asked; 0 where it may be now."""
        if self._state is State.OPEN:
            return max(0.0, self._since + self._cooldown_s - now)
        if self._state is State.HALF_OPEN and self._probe is not None:
            # A probe may hang: after another cooldown it is given up, and the next one tries.
            return min(PROBE_WAIT_S, max(0.0, self._probed + self._cooldown_s - now))
        return 0.0

    def enter(self, now: float) -> Permit | None:
        """Leave to ask the target; None while it is to be left alone."""
        if self._state is State.CLOSED:
            return Permit(epoch=self._epoch)
        if self.refused_for(now) > 0:
            return None
        if self._state is State.OPEN:
            self._become(State.HALF_OPEN)
        else:
            self._epoch += 1  # what the probe before this one says counts no more
        self._probe, self._probed = Permit(epoch=self._epoch, probe=True), now
        return self._probe

    def answered(self, permit: Permit) -> None:
        """The target began to answer. That ends a probe, as a long answer would keep all others waiting.

        One more failure opens the breaker again, until an answer has come whole.
        """
        if permit.epoch == self._epoch and permit.probe and self._state is State.HALF_OPEN:
            self._become(State.CLOSED, keep_epoch=True)
            self._failures = self._limit - 1

    def succeeded(self, permit: Permit) -> None:
        """The answer is whole."""
        self.answered(permit)
        if permit.epoch == self._epoch:
            self._failures = 0

    def failed(self, permit: Permit, now: float) -> None:
        """The target failed, in a way that speaks against it."""
        if permit.epoch != self._epoch:
            return
        self._failures += 1
        if self._state is State.HALF_OPEN or self._failures >= self._limit:
            self._since = now
            self._become(State.OPEN)

    def abandoned(self, permit: Permit) -> None:
        """Nobody knows: whoever asked went away, or asked for what the target refuses."""
        if permit is self._probe:
            self._probe = None

    def _become(self, state: State, *, keep_epoch: bool = False) -> None:
        before, self._state = self._state, state
        self._probe = None
        if not keep_epoch:
            self._epoch += 1
        self._changed(Change(before=before, after=state, failures=self._failures))
