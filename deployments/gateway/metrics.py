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
        """The response cache was asked. outcome: `hit` or `miss`."""
        ...


class NoMetrics:
    """Counts nothing: where no Ray is."""

    def answered(self, request: Answered) -> None:
        """Nothing."""

    def retried(self, model: str, *, outcome: str) -> None:
        """Nothing."""

    def cached(self, model: str, *, outcome: str) -> None:
        """Nothing."""


class RayMetrics:
    """Histograms and counters of Ray; made inside a running cluster."""

    def __init__(self) -> None:
        from ray.util.metrics import Counter, Histogram

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
