"""Which model answers a request: the one that was asked, or one in its place where nothing was sent yet.

Retries are another matter: those are of one model, in `retries`. A target that can be known not to answer is not
even asked: its breaker is open, none of its replicas runs, or its queue is longer than the client waits.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from cluster.errors import HeliostatError, Unavailable
from cluster.settings.tree import Settings
from cluster.types import Priority
from deployments.gateway.limits.gate import Gate
from deployments.gateway.metrics import NoMetrics, QueueMetrics, RoutingMetrics
from deployments.gateway.routing import journey
from deployments.gateway.routing.breakers import Breakers
from deployments.gateway.routing.event_log import EventLog
from deployments.gateway.routing.fallbacks import Fallbacks, Scope, scope_of
from deployments.gateway.routing.queue_watch import QueueWatch
from deployments.gateway.routing.scale_watch import ScaleWatch

Answer = TypeVar("Answer")
Begin = Callable[[str], Awaitable[bool]]


class AllMetrics(RoutingMetrics, QueueMetrics, Protocol):
    """Figures of the router and of the queues."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tried:
    """A target that did not answer. reason: its error's code, or `capacity` or `no_replicas`."""

    target: str
    reason: str


class Router:
    """Routes the requests of a gateway. running: how many replicas a model has now, None where nobody knows."""

    def __init__(
        self,
        settings: Settings,
        *,
        gate: Gate,
        breakers: Breakers,
        events: EventLog,
        running: Callable[[str], int | None] = lambda _: None,
    ) -> None:
        self._fallbacks = Fallbacks(settings.chat_models)
        # Models that being asked brings back; the others come back by themselves.
        self._wakes = {
            model.id for model in settings.chat_models if model.replicas.min == 0 or model.load != "start"
        }
        self._timeout_s = settings.limits.generation_timeout_ms / 1000
        self._gate = gate
        self._running = running
        self.breakers = breakers
        self.events = events
        self.scaling: ScaleWatch | None = None
        self.metrics: RoutingMetrics = NoMetrics()
        self.report(NoMetrics())

    def report(self, metrics: AllMetrics) -> None:
        """Have the router, its breakers and the queues count there."""
        self.metrics = self.breakers.metrics = metrics
        self._gate.report(QueueWatch(metrics, self.events))

    def trail(
        self,
        model: str,
        *,
        may_ask: Callable[[str], bool],
        priority: Priority,
        request_id: str,
        others: Sequence[str] = (),
        begin: Begin | None = None,
    ) -> "Trail":
        """The way of one request. may_ask: whether who asks may have a fallback's answer. others: after those.

        begin: whether a model is loaded; else it begins to load. None: all are.
        """
        return Trail(
            self, model, may_ask=may_ask, priority=priority, request_id=request_id, others=others, begin=begin
        )

    def running(self, target: str) -> int | None:
        """How many replicas the target has now; None where nobody knows."""
        return self._running(target)

    def order(self, model: str, scope: Scope) -> tuple[str, ...]:
        """Who may answer in the model's place."""
        return self._fallbacks.of(model, scope)

    def obstacle(self, target: str, priority: Priority) -> tuple[str, dict[str, float]] | None:
        """Why asking the target now would be in vain, and the figures that say so; None where it would not."""
        if self._running(target) == 0 and target not in self._wakes:
            return "no_replicas", {"running": 0}
        wait_s = self._gate.predicted_wait_s(target, priority)
        if not wait_s:
            return None
        patience_s = journey.patience_s()
        allowed_s = self._timeout_s if patience_s is None else min(self._timeout_s, patience_s)
        if wait_s <= allowed_s:
            return None
        return "capacity", {"predicted_wait_s": round(wait_s, 3), "deadline_s": round(allowed_s, 3)}


class Trail:
    """One request's way from target to target. tried: those that did not answer."""

    __slots__ = (
        "_begin",
        "_busy",
        "_error",
        "_left",
        "_may_ask",
        "_others",
        "_priority",
        "_request_id",
        "_router",
        "asked",
        "tried",
    )

    def __init__(
        self,
        router: Router,
        asked: str,
        *,
        may_ask: Callable[[str], bool],
        priority: Priority,
        request_id: str,
        others: Sequence[str] = (),
        begin: Begin | None = None,
    ) -> None:
        self._router = router
        self._begin = begin
        self.asked = asked
        self._may_ask = may_ask
        self._others = others  # where the choice was ours, all that could answer may
        self._priority = priority
        self._request_id = request_id
        self._left: list[str] | None = None  # fallbacks; None before one is needed
        self._busy: list[str] = []  # passed over for their queue: better late than never
        self._error: HeliostatError | None = None  # the asked model's, or the first
        self.tried: list[Tried] = []

    async def start(self) -> str:
        """As `first`. Where others answer for a model while it loads, and it is not loaded, its load begins."""
        others = self._order(Scope.LOADING) if self._begin and self._router.order(self.asked, Scope.LOADING) else []
        if not others or self._router.breakers.refusal(self.asked) is not None:
            return self.first()
        if self._begin is None or await self._begin(self.asked):
            return self.first()
        self._left = others
        self._pass_over(self.asked, ("loading", {}))
        target = self._next()
        assert target is not None  # at the latest, the asked one itself, which then is waited for
        return target

    def first(self) -> str:
        """The first target: the asked model, or who is there in its place. Raises CircuitOpen."""
        refusal = self._router.breakers.refusal(self.asked)
        if refusal is not None:
            return self.after(self.asked, refusal)
        others = self._order(Scope.UNAVAILABLE)
        obstacle = self._router.obstacle(self.asked, self._priority) if others else None
        if obstacle is None:
            return self.asked
        self._left = others
        self._pass_over(self.asked, obstacle)
        target = self._next()
        assert target is not None  # at the latest, the asked one again
        return target

    def after(self, target: str, error: HeliostatError) -> str:
        """The next target, after one has failed. Raises where there is none."""
        self.tried.append(Tried(target=target, reason=error.code))
        if self._error is None or target == self.asked:
            self._error = error
        if self._left is None:
            scope = scope_of(error)
            if scope is None:
                raise error
            self._left = self._order(scope)
        following = self._next()
        if following is None:
            raise self._failed() from error
        return following

    def answered(self, target: str) -> None:
        """The target's first byte is here: it stays with it."""
        if not self.tried and not self._router.events.every_route:
            return
        inputs: dict[str, Any] = {
            "asked": self.asked,
            "tried": [{"target": one.target, "reason": one.reason} for one in self.tried],
        }
        if target == self.asked:
            self._router.events.record("route", target, "asked", request_id=self._request_id, **inputs)
            return
        reason = self.tried[0].reason
        self._router.metrics.fell_back(self.asked, target=target, reason=reason)
        self._router.events.record(
            "fallback", self.asked, reason, request_id=self._request_id, answered=target, **inputs
        )
        this = journey.current()
        if this is not None:
            way = self.asked if this.route is None else this.route.partition(";")[0]  # which `auto` began
            this.route = f"{way} -> {target}; reason={reason}"

    def _order(self, scope: Scope) -> list[str]:
        order = dict.fromkeys([*self._router.order(self.asked, scope), *self._others])
        return [name for name in order if self._may_ask(name)]

    def _next(self) -> str | None:
        assert self._left is not None
        while self._left:
            target = self._left.pop(0)
            refusal = self._router.breakers.refusal(target)
            if refusal is not None:
                self.tried.append(Tried(target=target, reason=refusal.code))
                continue
            obstacle = self._router.obstacle(target, self._priority)
            if obstacle is None:
                return target
            self._pass_over(target, obstacle)
        return self._busy.pop(0) if self._busy else None

    def _pass_over(self, target: str, obstacle: tuple[str, dict[str, float]]) -> None:
        reason, figures = obstacle
        inputs: dict[str, Any] = dict(figures)
        self.tried.append(Tried(target=target, reason=reason))
        self._busy.append(target)
        self._router.events.record("passed_over", target, reason, request_id=self._request_id, **inputs)

    def _failed(self) -> HeliostatError:
        """The error of a request that no target answered: one that names them all, if there were several."""
        error = self._error
        assert error is not None
        if len({one.target for one in self.tried}) == 1 or not isinstance(error, Unavailable):
            return error
        said = ", ".join(f"{one.target} ({one.reason})" for one in self.tried)
        return Unavailable(
            f"Neither {self.asked} nor its fallbacks can answer: {said}",
            hint=error.hint,
            retry_after_s=error.retry_after_s,
        )


async def whole(trail: Trail, ask: Callable[[str], Awaitable[Answer]]) -> Answer:
    """What `ask` returns of the first target that answers. Raises what the last error makes of it."""
    target = await trail.start()
    while True:
        try:
            answer = await ask(target)
        except HeliostatError as error:
            target = trail.after(target, error)
        else:
            trail.answered(target)
            return answer


async def stream(trail: Trail, ask: Callable[[str], AsyncIterator[bytes]]) -> AsyncGenerator[bytes, None]:
    """The items of the first target that has one; after its first item there is no other target."""
    target = await trail.start()
    while True:
        began = False
        async with aclosing(ask(target)) as items:  # type: ignore[type-var]  # generators, all of them
            try:
                async for item in items:
                    if not began:
                        began = True
                        trail.answered(target)
                    yield item
                return
            except HeliostatError as error:
                if began:
                    raise
                failure = error
        target = trail.after(target, failure)
