"""Serve's configurations are made one at a time in a process.

Each pickles its router's class, and its autoscaling policy, with a table of the whole process in which the class's
module stands meanwhile. Two threads that do this at once, as one that deploys and one in which a handle hears of
its deployment's configuration, take each other's entry away: `ValueError: … is not registered for pickle by value`.
"""

import functools
import threading
from collections.abc import Callable
from typing import Any

_TURN = threading.RLock()


def take_turns() -> None:
    """Have this process's threads make Serve's configurations in turn. Again it does nothing."""
    from ray.serve.config import AutoscalingPolicy, RequestRouterConfig

    owners: tuple[tuple[Any, str], ...] = (
        (RequestRouterConfig, "_serialize_request_router_cls"),
        (AutoscalingPolicy, "serialize_policy"),
    )
    for owner, name in owners:
        pickles = getattr(owner, name)
        if not hasattr(pickles, "__wrapped__"):
            setattr(owner, name, _in_turn(pickles))


def _in_turn(work: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(work)
    def done(*args: Any, **options: Any) -> Any:
        with _TURN:
            return work(*args, **options)

    return done
