"""Serve's autoscaling of a model, from the model's settings."""

import warnings
from typing import TYPE_CHECKING

from cluster.settings.models import ReplicaSettings

if TYPE_CHECKING:
    from ray.serve.config import AutoscalingConfig

LEAST_S, MOST_S = 0.5, 10.0  # between two reports to the controller: Serve's own, less where it has to be quick
LONGEST_S = 30.0  # Serve's own window of the requests at once


def autoscaling(replicas: ReplicaSettings) -> "AutoscalingConfig":
    """What Serve is told. replicas: with min below max."""
    from ray.serve.config import AutoscalingConfig, AutoscalingPolicy

    limits = replicas.scale_on
    aims = {
        "ongoing": float(replicas.target_ongoing),
        "ttft_p95_ms": None if limits is None else limits.ttft_p95_ms,
        "queued": None if limits is None else limits.queued,
    }
    every_s = min(MOST_S, max(LEAST_S, replicas.up_delay_s / 2))
    zero_delay_s = replicas.down_delay_s if replicas.zero_delay_s is None else replicas.zero_delay_s
    with warnings.catch_warnings():
        # Ray says that environment variables will take its place; in the pinned version nothing reads them.
        warnings.filterwarnings("ignore", message=".*metrics_interval_s", category=DeprecationWarning)
        return AutoscalingConfig(
            min_replicas=replicas.min,
            max_replicas=replicas.max,
            target_ongoing_requests=replicas.target_ongoing,
            upscale_delay_s=replicas.up_delay_s,
            downscale_delay_s=replicas.down_delay_s,
            downscale_to_zero_delay_s=zero_delay_s,
            metrics_interval_s=every_s,
            look_back_period_s=min(LONGEST_S, max(2 * every_s, replicas.up_delay_s)),
            policy=AutoscalingPolicy(  # type: ignore[no-untyped-call]
                policy_function="deployments.fleet.autoscaling:Policy",
                policy_kwargs={name: aim for name, aim in aims.items() if aim is not None},
            ),
        )
