"""The breakers of all targets of a gateway, and which errors speak against one."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import monotonic
from typing import Any

from cluster.errors import CircuitOpen, EngineFailure, HeliostatError, ModelLoading, NoRoom, Unavailable
from cluster.settings.routing import BreakerSettings
from deployments.gateway.metrics import NoMetrics, RoutingMetrics
from deployments.gateway.routing.breaker import Breaker, Change, Permit, State
from deployments.gateway.routing.event_log import EventLog

MOSTLY = 0.5  # of the time limit, spent at a target that has not begun to answer, is its own fault


class Asking:
    """One request at one target."""

    __slots__ = ("_breaker", "_permit", "begun")

    def __init__(self, breaker: Breaker, permit: Permit) -> None:
        self._breaker = breaker
        self._permit = permit
        self.begun = False

    def answered(self) -> None:
        """Its first byte is here."""
        if not self.begun:
            self.begun = True
            self._breaker.answered(self._permit)


class Breakers:
    """A breaker for each target, made when the target is first asked. timeout_s: of a generation."""

    def __init__(
        self,
        settings: BreakerSettings | None = None,
        *,
        events: EventLog | None = None,
        timeout_s: float = 600.0,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._settings = settings or BreakerSettings()
        self._events = events
        self._timeout_s = timeout_s
        self._clock = clock
        self._breakers: dict[str, Breaker] = {}
        self._lost: dict[str, float] = {}  # when a target's replica was last lost, as far as that counted
        self.metrics: RoutingMetrics = NoMetrics()

    def states(self) -> dict[str, str]:
        """The state of each target that was asked."""
        return {target: str(breaker.state) for target, breaker in self._breakers.items()}

    def refusal(self, target: str) -> CircuitOpen | None:
        """Why the target is not asked now; None where it may be."""
        breaker = self._breakers.get(target)
        if breaker is None or breaker.state is State.CLOSED:
            return None
        wait_s = breaker.refused_for(self._clock())
        return _open(target, wait_s) if wait_s > 0 else None

    @contextmanager
    def asking(self, target: str) -> Iterator[Asking]:
        """`with` it while a target works on a request, tries again included. Raises CircuitOpen."""
        breaker = self._breakers.get(target) or self._new(target)
        begun = self._clock()
        permit = breaker.enter(begun)
        if permit is None:
            raise _open(target, breaker.refused_for(begun))
        asking = Asking(breaker, permit)
        try:
            yield asking
        except (ModelLoading, NoRoom):
            breaker.abandoned(permit)  # nobody has asked it anything: it is not loaded
            raise
        except Unavailable:
            # A replica takes all that it was answering with it: that is one failure, however many streams it was.
            if asking.begun and begun < self._lost.get(target, begun):
                breaker.abandoned(permit)
            else:
                self._lost[target] = self._clock()
                breaker.failed(permit, self._clock())
            raise
        except EngineFailure:
            breaker.failed(permit, self._clock())
            raise
        except HeliostatError:
            breaker.abandoned(permit)  # the request was at fault, or a queue was full
            raise
        except Exception:  # what nobody foresaw of an engine
            breaker.failed(permit, self._clock())
            raise
        except BaseException:  # cancelled: by a client that went away, or by the time limit
            if not asking.begun and self._clock() - begun >= MOSTLY * self._timeout_s:
                breaker.failed(permit, self._clock())
            else:
                breaker.abandoned(permit)
            raise
        breaker.succeeded(permit)

    def _new(self, target: str) -> Breaker:
        def changed(change: Change) -> None:
            self.metrics.circuit(target, state=change.after)
            if self._events is not None:
                inputs: dict[str, Any] = {"before": str(change.before), "failures_in_a_row": change.failures}
                inputs |= {"failures": self._settings.failures, "cooldown_s": self._settings.cooldown_s}
                self._events.record("breaker", target, str(change.after), warn=change.after is State.OPEN, **inputs)

        breaker = self._breakers[target] = Breaker(
            failures=self._settings.failures, cooldown_s=self._settings.cooldown_s, changed=changed
        )
        return breaker


def _open(target: str, wait_s: float) -> CircuitOpen:
    hint = "its breaker tries it again after that; GET /api/v1/events says why it opened"
    return CircuitOpen(f"{target} failed too often and is not asked now", hint=hint, retry_after_s=wait_s)
