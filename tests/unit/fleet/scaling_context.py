"""What Serve hands an autoscaling policy."""

from types import SimpleNamespace
from typing import Any


def context(**said: Any) -> Any:
    """As far as our policy looks at it."""
    told: dict[str, Any] = {
        "deployment_name": "m",
        "current_num_replicas": 1,
        "target_num_replicas": 1,
        "total_num_requests": 4.0,
        "total_queued_requests": 0.0,
        "raw_metrics": {},
        "policy_state": {},
    }
    return SimpleNamespace(**(told | said))
