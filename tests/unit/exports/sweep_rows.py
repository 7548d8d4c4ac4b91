"""Rows of a small sweep, made up by rule: what exports and reports are tested on."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa

from cluster.stores.runs import schema

BEGUN = datetime(2026, 11, 1, 12, tzinfo=UTC)
TEMPERATURES, TOP_PS = (0.2, 0.6, 1.0), (0.5, 1.0)


def row(ordinal: int, **changes: Any) -> dict[str, Any]:
    """One good cell."""
    made: dict[str, Any] = {
        "run_id": "abcdefabcdef",
        "cell_id": f"cell-{ordinal:06d}",
        "ordinal": ordinal,
        "model": "spark-chat",
        "model_revision": "r1",
        "engine": "scripted",
        "engine_version": "1",
        "config_id": "c0",
        "greedy": False,
        "prompt_id": "p0",
        "prompt_hash": "h0",
        "prompt": "Say hello",
        "temperature": 0.2,
        "top_p": 1.0,
        "max_tokens": 48,
        "parameters": "{}",
        "repeat": 1,
        "seed": 2**62 + ordinal,
        "text": f"hello {ordinal}",
        "finish_reason": "stop",
        "prompt_tokens": 5,
        "completion_tokens": 20,
        "ttft_ms": 12.5,
        "latency_ms": 80.25,
        "started": BEGUN + timedelta(seconds=ordinal),
        "attempts": 1,
    }
    return made | changes


def table(rows: list[dict[str, Any]]) -> pa.Table:
    """As a run stores them."""
    return pa.Table.from_pylist(rows, schema=schema())


def duel(*models: str, prompts: int = 3) -> pa.Table:
    """Two models and nothing else: few charts, so that a report of it is quick."""
    made = [(prompt, model) for prompt in range(prompts) for model in models]
    return table(
        [
            row(
                place,
                model=model,
                config_id=model,
                prompt_id=f"p{prompt}",
                prompt_hash=f"h{prompt}",
                latency_ms=None,
                completion_tokens=None,
                scores=json.dumps({"overall": 50 + prompt + (place * 31) % 7}),
            )
            for place, (prompt, model) in enumerate(made)
        ]
    )


def sweep(prompts: int = 8, repeats: int = 2, models: tuple[str, ...] = ("spark-chat",)) -> pa.Table:
    """A full grid in which temperature helps, and everything else does not."""
    rows = []
    for prompt in range(prompts):
        for model in models:
            for temperature in TEMPERATURES:
                for top_p in TOP_PS:
                    for repeat in range(1, repeats + 1):
                        place = len(rows)
                        wobble = ((place * 7919) % 101) / 10 - 5
                        overall = round(50 + 3 * prompt + 15 * temperature + wobble / 4, 3)
                        rows.append(
                            row(
                                place,
                                model=model,
                                config_id=f"{model}-{temperature}-{top_p}",
                                prompt_id=f"p{prompt}",
                                prompt_hash=f"h{prompt}",
                                temperature=temperature,
                                top_p=top_p,
                                repeat=repeat,
                                latency_ms=80 + 10 * temperature + wobble,
                                scores=json.dumps({"overall": overall, "readability": overall - 10}),
                                features=json.dumps({"words": 40 + place}),
                                score_versions=json.dumps({"overall": "1", "readability": "2"}),
                            )
                        )
    return table(rows)
