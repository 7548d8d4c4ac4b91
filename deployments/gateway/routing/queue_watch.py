"""What the queues tell of themselves: counted, and each refusal an event."""

from deployments.gateway.metrics import QueueMetrics
from deployments.gateway.routing.event_log import EventLog


class QueueWatch:
    """QueueMetrics that record, too."""

    def __init__(self, metrics: QueueMetrics, events: EventLog) -> None:
        self._metrics = metrics
        self._events = events

    def queue_waiting(self, model: str, count: int, *, places: int) -> None:
        """So many requests wait now."""
        self._metrics.queue_waiting(model, count, places=places)

    def queue_waited(self, model: str, seconds: float) -> None:
        """A request got its place."""
        self._metrics.queue_waited(model, seconds)

    def queue_refused(self, model: str, *, reason: str, waiting: int, places: int) -> None:
        """A request got none."""
        self._metrics.queue_refused(model, reason=reason, waiting=waiting, places=places)
        self._events.record("queue_refused", model, reason, waiting=waiting, places=places)
