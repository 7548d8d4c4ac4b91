"""What came of the requests to a model of the running cluster, for `heliostat models show`."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

import httpx

from cluster.config import credentials, home
from cluster.errors import ClusterError
from cluster.runtime.lifecycle import current

TIMEOUT_S = 5.0


def record_of(*names: str) -> dict[str, Any] | None:
    """The record of the model that the cluster knows by one of these names, tried in their order.

    None where no cluster runs, or it does not say.
    """
    try:
        url = current(home()).url
    except ClusterError:
        return None
    for name in dict.fromkeys(names):
        address = f"{url}/api/v1/models/{quote(name)}/record"
        try:
            answer = httpx.get(address, headers=credentials(), timeout=TIMEOUT_S, trust_env=False)
            if answer.is_success:
                found: dict[str, Any] = answer.json()
                return found
        except (httpx.HTTPError, ValueError):
            return None
    return None


def lines(record: Mapping[str, Any]) -> dict[str, str]:
    """A record for people: lines by their names, without those that say nothing."""
    outcomes = ", ".join(f"{count} {outcome}" for outcome, count in record["outcomes"].items())
    errors = ", ".join(f"{count} {code}" for code, count in record["errors"].items())
    tokens = f"{record['promptTokens']} prompt, {record['completionTokens']} completion"
    asked = record["requestCount"] > 0
    found = {
        "requests": f"{record['requestCount']}: {outcomes}" if asked else "none",
        "errors": errors,
        "answered in": _times(record, "ResponseTime"),
        "first token in": _times(record, "FirstTokenTime"),
        "tokens": tokens if asked else "",
        "last used": record["lastUsedAt"] or "",
        "loaded in": "" if record["loadTime"] is None else f"{record['loadTime'] / 1000:.1f} s",
        "memory": f"{record['memoryUsage'] / 1024**3:.2f} GiB" if record["memoryUsage"] else "",
    }
    return {name: text for name, text in found.items() if text}


def _times(record: Mapping[str, Any], name: str) -> str:
    mean, p95 = record[f"average{name}"], record[f"p95{name}"]
    return "" if p95 is None else f"{mean:.0f} ms on average, {p95:.0f} ms at p95"
