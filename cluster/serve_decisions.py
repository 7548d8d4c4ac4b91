"""The last scaling decision of each deployment, where both Serve's controller and the gateways reach it.

They are in Ray's own key-value store, in the controller node's memory: a write and a read take a millisecond.
Serve itself says only how many replicas it wants, to nobody in particular.
"""

import json
from typing import Any

NAMESPACE = b"heliostat-scaling"


def put(deployment: str, decision: dict[str, Any]) -> None:
    """Remember the decision in place of the one before. decision: JSON values. Blocks for a millisecond."""
    from ray.experimental.internal_kv import _internal_kv_put

    _internal_kv_put(f"decision:{deployment}".encode(), json.dumps(decision).encode(), namespace=NAMESPACE)


def last(deployment: str) -> dict[str, Any] | None:
    """The last decision of a deployment, None where there was none. Blocks for a millisecond."""
    from ray.experimental.internal_kv import _internal_kv_get

    found = _internal_kv_get(f"decision:{deployment}".encode(), namespace=NAMESPACE)
    return None if found is None else dict(json.loads(found))


def claim(deployment: str, change: str) -> bool:
    """Whether nobody has claimed the change before: of all gateways that saw it, one tells of it."""
    from ray.experimental.internal_kv import _internal_kv_put

    key = f"claim:{deployment}:{change}".encode()
    return not _internal_kv_put(key, b"", overwrite=False, namespace=NAMESPACE)  # it says whether there was one


def forget(deployment: str, change: str) -> None:
    """Drop a claim that is so old that nobody makes it any more."""
    from ray.experimental.internal_kv import _internal_kv_del

    _internal_kv_del(f"claim:{deployment}:{change}".encode(), namespace=NAMESPACE)
