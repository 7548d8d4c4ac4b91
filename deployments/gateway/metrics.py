"""What the gateway counts. Ray exports it to Prometheus with `ray_` before each name; tests record it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

BOUNDARIES_S = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 300.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """One answered request. api: its route's path. status: as its client sees it; 499 is a client that hung up,
    and a stream that broke has its error's. stages: seconds of each stage that is known (timing.Timing).
    """

    model: str
    api: str
    status: int
    stages: Mapping[str, float]


class Metrics(Protocol):
    """Where figures go. Every call returns at once and never raises."""

    def answered(self, request: Answered) -> None:
        """A request to a model ended."""
        ...

    def retried(self, model: str, *, outcome: str) -> None:
        """A replica was lost before its first byte. outcome: `tried_again`, `no_budget` or `no_tries`."""
        ...

    def cached(self, model: str, *, outcome: str) -> None:
        """The response cache was asked. outcome: `hit`, `miss` or `semantic`."""
        ...


class RoutingMetrics(Protocol):
    """Where the router's figures go. Every call returns at once and never raises."""

    def fell_back(self, model: str, *, target: str, reason: str) -> None:
        """Another model answered in the asked one's place."""
        ...

    def circuit(self, model: str, *, state: str) -> None:
        """A breaker is now `closed`, `half_open` or `open`."""
        ...


class QueueMetrics(Protocol):
    """Where the figures of the fair queues go. Every call returns at once and never raises."""

    def queue_waiting(self, model: str, count: int, *, places: int) -> None:
        """So many requests wait now, for so many places."""
        ...

    def queue_waited(self, model: str, seconds: float) -> None:
        """A request that had to wait got its place."""
        ...

    def queue_refused(self, model: str, *, reason: str, waiting: int, places: int) -> None:
        """A request got none. reason: `full`, `gave_way` or `too_long`."""
        ...


class NoMetrics:
    """Counts nothing: where no Ray is."""

    def fell_back(self, model: str, *, target: str, reason: str) -> None:
        """Nothing."""

    def circuit(self, model: str, *, state: str) -> None:
        """Nothing."""

    def queue_waiting(self, model: str, count: int, *, places: int) -> None:
        """Nothing."""

    def queue_waited(self, model: str, seconds: float) -> None:
        """Nothing."""

    def queue_refused(self, model: str, *, reason: str, waiting: int, places: int) -> None:
        """Nothing."""

    def answered(self, request: Answered) -> None:
        """Nothing."""

    def retried(self, model: str, *, outcome: str) -> None:
        """Nothing."""

    def cached(self, model: str, *, outcome: str) -> None:
        """Nothing."""


class RayMetrics:
    """Histograms and counters of Ray; made inside a running cluster."""

    def __init__(self) -> None:
        from ray.util.metrics import Counter, Gauge, Histogram

        self._seconds = Histogram(
            "heliostat_request_seconds",
            "Where the time of requests to models went, by stage",
            boundaries=list(BOUNDARIES_S),
            tag_keys=("model", "api", "status", "stage"),
        )
        self._retries = Counter(
            "heliostat_retries_total", "Replicas lost before their first byte", tag_keys=("model", "outcome")
        )
        self._cache = Counter(
            "heliostat_cache_total", "Look-ups in the response cache", tag_keys=("model", "outcome")
        )

        self._fallbacks = Counter(
            "heliostat_fallbacks_total",
            "Requests that another model answered",
            tag_keys=("model", "target", "reason"),
        )
        self._circuits = Gauge("heliostat_breaker_state", "0 closed, 1 half-open, 2 open", tag_keys=("model",))
        self._waiting = Gauge(
            "heliostat_queue_waiting", "Requests that wait for a place at a model", tag_keys=("model",)
        )
        self._places = Gauge(
            "heliostat_queue_places", "Requests that a gateway lets to a model at once", tag_keys=("model",)
        )
        self._waited = Histogram(
            "heliostat_queue_wait_seconds",
            "How long those waited that had to",
            boundaries=list(BOUNDARIES_S),
            tag_keys=("model",),
        )
        self._refused = Counter(
            "heliostat_queue_refused_total",
            "Requests that got no place at a model",
            tag_keys=("model", "reason"),
        )

    def fell_back(self, model: str, *, target: str, reason: str) -> None:
        """One more."""
        self._fallbacks.inc(tags={"model": model, "target": target, "reason": reason})

    def circuit(self, model: str, *, state: str) -> None:
        """The state as a number."""
        self._circuits.set({"closed": 0, "half_open": 1, "open": 2}[state], tags={"model": model})

    def queue_waiting(self, model: str, count: int, *, places: int) -> None:
        """Both as they are now."""
        self._waiting.set(count, tags={"model": model})
        self._places.set(places, tags={"model": model})

    def queue_waited(self, model: str, seconds: float) -> None:
        """One more."""
        self._waited.observe(seconds, tags={"model": model})

    def queue_refused(self, model: str, *, reason: str, waiting: int, places: int) -> None:  # noqa: ARG002
        """One more; how full it was, its events say."""
        self._refused.inc(tags={"model": model, "reason": reason})

    def answered(self, request: Answered) -> None:
        """About 6 microseconds a stage."""
        tags = {"model": request.model, "api": request.api, "status": str(request.status)}
        for stage, seconds in request.stages.items():
            self._seconds.observe(max(0.0, seconds), {**tags, "stage": stage})

    def retried(self, model: str, *, outcome: str) -> None:
        """One more."""
        self._retries.inc(tags={"model": model, "outcome": outcome})

    def cached(self, model: str, *, outcome: str) -> None:
        """One more."""
        self._cache.inc(tags={"model": model, "outcome": outcome})
