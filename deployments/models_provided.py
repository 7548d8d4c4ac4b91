"""What the providers of the running cluster have, for the list of models."""

import httpx

from cluster.config import credentials, home
from cluster.errors import ClusterError
from cluster.library.entry import ModelEntry
from cluster.runtime.lifecycle import current
from cluster.settings.providers import LOCAL

TIMEOUT_S = 5.0


def provided() -> list[ModelEntry]:
    """The models that run elsewhere, as the cluster knows them; empty where none runs, or it does not say."""
    try:
        url = current(home()).url
    except ClusterError:
        return []
    try:
        answer = httpx.get(f"{url}/api/llm/models", headers=credentials(), timeout=TIMEOUT_S, trust_env=False)
        answer.raise_for_status()
        return entries(answer.json()["models"])
    except (httpx.HTTPError, ValueError, KeyError, TypeError):
        return []


def entries(rows: list[dict[str, object]]) -> list[ModelEntry]:
    """The rows of `/api/llm/models` that are of other providers than this cluster."""
    return [
        ModelEntry(
            id=str(row["id"]),
            origin="provider",
            engine={"kind": row["engine"]},
            provider=str(row["provider"]),
            task=_task(row),
            capabilities=tuple(map(str, row["capabilities"])),  # type: ignore[call-overload]  # a list of words
            context_length=int(str(row["context_length"])) or None,
            problem=None if row["reason"] is None else str(row["reason"]),
        )
        for row in rows
        if row["provider"] != LOCAL
    ]


def _task(row: dict[str, object]) -> str:
    words = row["capabilities"]
    return "vision" if isinstance(words, list) and "vision" in words else str(row["task"])
