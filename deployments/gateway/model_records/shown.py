"""A model's record as its route answers it: the fields that older clients of these services know, then ours.

Times are in milliseconds and memory is in bytes, as those clients have them.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from cluster.catalog import GIB
from cluster.stores.log_buckets import ERROR
from cluster.stores.model_records import ModelRecord

MS = 1000
TASKS = {
    "chat": "text-generation",
    "vision": "image-text-to-text",
    "embedding": "feature-extraction",
    "rerank": "text-ranking",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What is known of a model beside its record, as it is now. None is unknown.

    provider: the engine, or whose API answers. folder: where its files are; None also for those who may not know.
    """

    provider: str | None = None
    task: str | None = None
    folder: str | None = None
    loaded: bool = False
    loaded_at: datetime | None = None
    memory_gib: float | None = None
    load_s: float | None = None
    context_length: int | None = None
    generation: Mapping[str, Any] = field(default_factory=dict)


def record(found: ModelRecord, facts: Facts, *, days: int | None) -> dict[str, Any]:
    """One model. days: how many days were asked for, None for all."""
    sums, last = found.sums, found.load
    memory_gib = facts.memory_gib or (last.memory_gib if last else None) or 0.0
    said = facts.generation
    return {
        "object": "model.record",
        "name": found.model,
        "provider": facts.provider,
        "task": TASKS.get(facts.task or "", facts.task),
        "localPath": facts.folder,
        "isLoaded": facts.loaded,
        "loadedAt": _time(facts.loaded_at or (last.loaded_at if last else None)),
        "lastUsedAt": _time(found.last_used_at),
        "memoryUsage": round(memory_gib * GIB),
        "requestCount": sums.requests,
        "errorCount": found.error_count,
        "averageResponseTime": _ms(found.mean_response_s) or 0.0,
        "config": {
            "maxLength": facts.context_length,
            "temperature": said.get("temperature"),
            "topP": said.get("top_p"),
            "topK": said.get("top_k"),
        },
        "days": days,
        "p95ResponseTime": _ms(found.p95_response_s),
        "averageFirstTokenTime": _ms(found.mean_first_token_s),
        "p95FirstTokenTime": _ms(found.p95_first_token_s),
        "percentileError": ERROR,
        "promptTokens": sums.prompt_tokens,
        "completionTokens": sums.completion_tokens,
        "requestsWithEstimatedTokens": sums.estimated,
        "loadTime": _ms(facts.load_s or (last.load_s if last else None)),
        "outcomes": dict(sorted(sums.outcomes.items())),
        "errors": dict(sorted(sums.errors.items(), key=lambda item: (-item[1], item[0]))),
    }


def _ms(seconds: float | None) -> float | None:
    return None if seconds is None else round(MS * seconds, 2)


def _time(moment: datetime | None) -> str | None:
    if moment is None:
        return None
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
