"""What this gateway decides, each decision an event that names the request it was made for."""

from typing import Any

from cluster.stores.decision_log import FLEET_KINDS, DecisionLog
from deployments.gateway.routing import journey

KINDS = ("route", "passed_over", "retry", "fallback", "breaker", "queue_refused", "scale", *FLEET_KINDS)


class EventLog(DecisionLog):
    """The decisions of one gateway. Those of the fleet are beside them in the store, from the fleet itself."""

    def record(self, kind: str, model: str, reason: str, *, request_id: str | None = None, **more: Any) -> None:
        """As DecisionLog; request_id: None is that of the request which this context answers."""
        super().record(kind, model, reason, request_id=request_id or journey.request_id(), **more)
