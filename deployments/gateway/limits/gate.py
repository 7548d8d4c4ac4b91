"""The gate before every model: the limits of who asks, then the model's queue.

Whoever calls a model does it within `Gate.admit`. With no limits and nobody waiting that takes microseconds.
"""

import logging
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from types import TracebackType

from cluster.errors import HeliostatError
from cluster.settings.models import ModelSettings
from cluster.settings.tree import Settings
from cluster.types import Priority
from deployments.gateway import timing
from deployments.gateway.limits.admission import ModelQueue
from deployments.gateway.limits.fair_queue import FairQueue
from deployments.gateway.limits.headers import note
from deployments.gateway.limits.limiter import Lease, Limiter, Refused
from deployments.gateway.limits.memory import MemoryLimits
from deployments.gateway.limits.store import LimitStore
from deployments.gateway.limits.usage import Estimate, StreamCount, used
from deployments.gateway.metrics import QueueMetrics
from deployments.gateway.principal import Limits, Principal

logger = logging.getLogger(__name__)


class Admission:
    """One request's passage. waited_s: in the model's queue. used: its tokens, once somebody knows them."""

    __slots__ = (
        "_began",
        "_lease",
        "_limiter",
        "_principal",
        "_priority",
        "_queue",
        "estimate",
        "used",
        "waited_s",
    )

    def __init__(
        self,
        limiter: Limiter | None,
        queue: ModelQueue | None,
        principal: Principal,
        priority: Priority,
        estimate: Estimate,
        *,
        began: bool = True,
    ) -> None:
        """began: whether the request goes to a model as soon as it is admitted; else `place` says when it does."""
        self._began = began
        self._limiter = limiter
        self._queue = queue
        self._principal = principal
        self._priority = priority
        self._lease: Lease | None = None
        self.estimate = estimate
        self.used: int | None = None
        self.waited_s = 0.0

    @property
    def counts(self) -> bool:
        """Whether anybody wants to know the tokens."""
        return self._lease is not None and self._lease.counted

    async def __aenter__(self) -> "Admission":
        if self._limiter is not None:
            try:
                self._lease = await self._limiter.take(self._principal, self.estimate)
            except Refused as refused:
                note(refused.standing)
                raise refused.error from None
            if self._lease is not None:
                note(self._lease.standing)
        if self._queue is not None:
            try:
                cost = 1 + self.estimate.total(0)
                self.waited_s = await self._queue.enter(self._principal.owner, self._priority, cost)
                if self.waited_s and (watch := timing.current()) is not None:
                    watch.queued(self.waited_s)
            except BaseException:
                if self._lease is not None and self._limiter is not None:
                    self._limiter.give_back(self._lease)
                raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._queue is not None:
            self._queue.leave(self._priority)
        if self._lease is not None and self._limiter is not None and not self._began:
            self._limiter.give_back(self._lease)  # no model was asked
        elif self._lease is not None and self._limiter is not None:
            used = 0 if isinstance(error, HeliostatError) else self.used  # nobody pays for an error
            self._limiter.settle(self._lease, used)

    @asynccontextmanager
    async def place(self, queue: ModelQueue | None) -> AsyncIterator[None]:
        """A place in a model's queue, within an admission without one. Raises as `Gate.admit` does."""
        if queue is not None:
            waited_s = await queue.enter(self._principal.owner, self._priority, 1 + self.estimate.total(0))
            self.waited_s += waited_s
            if waited_s and (watch := timing.current()) is not None:
                watch.queued(waited_s)
        self._began = True
        try:
            yield
        finally:
            if queue is not None:
                queue.leave(self._priority)

    def saw(self, answer: bytes) -> bytes:
        """A whole answer, its tokens read."""
        if self.counts:
            self.used = used(answer)
        return answer


class Gate:
    """Admits requests to models. limiter: None limits nobody. queues: by model; one without goes on at once."""

    def __init__(
        self,
        *,
        limiter: Limiter | None = None,
        queues: Mapping[str, ModelQueue] | None = None,
        priority: Priority | None = None,
    ) -> None:
        """priority: of every request, whatever it says itself; None leaves it to the request."""
        self._limiter = limiter
        self._queues = queues or {}
        self._priority = priority

    @property
    def limiter(self) -> Limiter | None:
        """Who counts, for the headers of answers that never came to the gate."""
        return self._limiter

    def queue(self, model: str) -> ModelQueue:
        """A model's queue. Raises KeyError."""
        return self._queues[model]

    def of_batches(self) -> "Gate":
        """The same queues, in the background and without the limits of keys: a batch was admitted as a whole."""
        return Gate(queues=self._queues, priority=Priority.BACKGROUND)

    def admit(self, principal: Principal, model: str, *, priority: Priority, estimate: Estimate) -> Admission:
        """`async with` it while the model works. Entering raises Overloaded, NeverWithinLimit, Unavailable."""
        return Admission(self._limiter, self._queues.get(model), principal, self._priority or priority, estimate)

    def account(self, principal: Principal, *, priority: Priority, estimate: Estimate) -> Admission:
        """The limits of who asks alone: in it, `place` goes to one model's queue after the other."""
        return Admission(self._limiter, None, principal, self._priority or priority, estimate, began=False)

    def count(self, principal: Principal) -> Admission:
        """The limits of who asks alone, for work that is neither a generation nor queued: a request, no tokens."""
        return Admission(self._limiter, None, principal, Priority.INTERACTIVE, Estimate(prompt=0, answer=0))

    def place(self, admission: Admission, model: str) -> AbstractAsyncContextManager[None]:
        """`async with` it while that model works on the request of the account."""
        return admission.place(self._queues.get(model))

    def predicted_wait_s(self, model: str, priority: Priority) -> float | None:
        """How long a request that comes now will wait for a place at the model; None where nobody knows."""
        queue = self._queues.get(model)
        return 0.0 if queue is None else queue.predicted_wait_s(self._priority or priority)

    def waiting(self, model: str) -> int:
        """How many requests wait for a place at the model."""
        queue = self._queues.get(model)
        return 0 if queue is None else queue.waiting

    def load(self, model: str) -> float:
        """The part of the model's places that is taken, in this gateway."""
        queue = self._queues.get(model)
        return 0.0 if queue is None else queue.running / max(queue.places, 1)

    def report(self, metrics: QueueMetrics) -> None:
        """Have the queues tell of themselves there."""
        for queue in self._queues.values():
            queue.metrics = metrics

    async def close(self) -> None:
        """Let go of the limits' store."""
        if self._limiter is not None:
            await self._limiter.close()


async def streamed(admission: Admission, items: AsyncIterator[bytes]) -> AsyncGenerator[bytes, None]:
    """A stream within its admission: it begins once it is admitted, and its end frees the place.

    Closing it closes `items`.
    """
    async with admission:
        try:
            if not admission.counts:
                async for item in items:
                    yield item
                return
            count = StreamCount()
            try:
                async for item in items:
                    count.saw(item)
                    yield item
            finally:
                admission.used = count.used(admission.estimate)
        finally:
            close = getattr(items, "aclose", None)
            if close is not None:
                await close()


def open_gate(settings: Settings) -> Gate:
    """The gate that the settings ask for. It connects to nothing before the first limited request."""
    rates = settings.limits.rates
    defaults = Limits(
        requests_per_minute=rates.requests_per_minute,
        tokens_per_minute=rates.tokens_per_minute,
        concurrent_requests=rates.concurrent_requests,
    )
    limiter = Limiter(
        _store(rates.redis), defaults=defaults, unsaid_tokens=rates.unsaid_answer_tokens, away=rates.redis_away
    )
    if settings.gateway.replicas > 1 and rates.redis is None and defaults != Limits():
        logger.warning(
            "%d gateways count limits each by itself; limits.rates.redis lets them count together",
            settings.gateway.replicas,
        )
    models = (*settings.chat_models, *settings.embedding_models, *settings.rerank_models)
    return Gate(limiter=limiter, queues={model.id: _queue(model, settings) for model in models})


def _store(redis: str | None) -> LimitStore:
    if redis is None:
        return MemoryLimits()
    from deployments.gateway.limits.redis import RedisLimits  # a client that most gateways do without

    return RedisLimits(redis)


def places_of(model: ModelSettings, settings: Settings, running: int) -> tuple[int, int]:
    """How many requests a gateway lets to so many replicas at once, and how many of those in the background.

    Each gateway has a part of the model's places, so that together they ask for what it can do at once. A model
    without a replica gets as much as one can do: what waits at Serve is what makes it start one.
    """
    queue, replicas = settings.limits.queue, model.replicas
    # Serve adds replicas when they have more than the target: that much is let through, while there may be more.
    each = max(replicas.max_ongoing, replicas.target_ongoing + 1)
    everywhere = min(each * max(1, running), replicas.max_ongoing * replicas.max)
    at_once = queue.at_once or max(1, -(-everywhere // settings.gateway.replicas))
    return at_once, max(1, int(at_once * queue.background_share))


def _queue(model: ModelSettings, settings: Settings) -> ModelQueue:
    queue, replicas = settings.limits.queue, model.replicas
    at_once, background_places = places_of(model, settings, replicas.max)
    places = FairQueue(
        at_once=at_once,
        background_places=background_places,
        most_waiting=None if replicas.max_queued < 0 else replicas.max_queued,
    )
    return ModelQueue(model.id, places, max_wait_s=queue.max_wait_ms / 1000)
