"""Stored rows for statistics, made from a matrix of values; and plain random worlds."""

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa

from pipelines.analysis.frame import Frame, frame_of

START = datetime(2026, 1, 1, tzinfo=UTC)


def rows_of(
    values: Any, grid: Mapping[str, Sequence[Any]] | None = None, *, metric: str = "overall", **more: Sequence[Any]
) -> pa.Table:
    """values: (prompt, configuration, repeat); NaN is a cell that failed. grid: factors, the last one fastest.

    more: columns of whole rows, in the same order.
    """
    values = np.asarray(values, float)
    prompts, configurations, repeats = values.shape
    settings = combinations(grid or {"temperature": [place / 10 for place in range(configurations)]})
    assert len(settings) == configurations
    rows = []
    for ordinal, (prompt, configuration, repeat) in enumerate(np.ndindex(prompts, configurations, repeats)):
        value, chosen = values[prompt, configuration, repeat], dict(settings[configuration])
        rows.append(
            {
                "run_id": "r",
                "ordinal": ordinal,
                "model": chosen.pop("model", "m"),
                "prompt_id": f"p{prompt}",
                "prompt_hash": f"h{prompt}",
                "temperature": chosen.pop("temperature", None),
                "parameters": json.dumps(chosen),
                "repeat": repeat + 1,
                "started": START + timedelta(minutes=ordinal),
                "latency_ms": 100.0 + ordinal,
                "completion_tokens": 20,
                "scores": None if np.isnan(value) else json.dumps({metric: value}),
                "error_code": "engine_error" if np.isnan(value) else None,
                **{name: column[ordinal] for name, column in more.items()},
            }
        )
    return pa.Table.from_pylist(rows)


def frame(values: Any, grid: Mapping[str, Sequence[Any]] | None = None) -> Frame:
    return frame_of(rows_of(values, grid))


def combinations(grid: Mapping[str, Sequence[Any]]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = [{}]
    for name, levels in grid.items():
        found = [{**settings, name: level} for settings in found for level in levels]
    return found


def world(
    seed: int, prompts: int, configurations: int, repeats: int = 3, *, effect: Sequence[float] | None = None
) -> Any:
    """Values around 50: prompts differ by SD 8, prompt x configuration by 2, repeats by 3."""
    random = np.random.default_rng(seed)
    prompt = 8 * random.standard_normal((prompts, 1, 1))
    cell = 2 * random.standard_normal((prompts, configurations, 1))
    repeat = 3 * random.standard_normal((prompts, configurations, repeats))
    return 50 + prompt + cell + repeat + np.reshape(effect or [0.0] * configurations, (1, -1, 1))
