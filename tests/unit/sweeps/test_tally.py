import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa

from cluster.stores.runs import schema
from pipelines.analysis.summaries import by_configuration
from pipelines.sweeps.tally import Tally

START = datetime(2026, 1, 1, tzinfo=UTC)


def table(*rows: dict[str, Any]) -> pa.Table:
    blank = {
        "run_id": "r",
        "cell_id": "c",
        "ordinal": 0,
        "model": "m",
        "prompt_id": "p",
        "prompt_hash": "h",
        "prompt": "t",
        "parameters": "{}",
        "repeat": 1,
        "started": START,
        "attempts": 1,
    }
    return pa.Table.from_pylist([{**blank, **row} for row in rows], schema=schema())


def scored(temperature: float, score: float, **more: Any) -> dict[str, Any]:
    return {"temperature": temperature, "completeness": score, "completion_tokens": 10, **more}


def test_the_pace_is_that_of_this_session() -> None:
    tally = Tally(10)
    tally.keep(table(scored(0.1, 100), scored(0.1, 100)))
    tally.add(table(scored(0.1, 50), scored(0.2, 50, started=START + timedelta(seconds=1))))
    progress = tally.progress(START + timedelta(seconds=4))
    assert (progress.done, progress.ran, progress.failed) == (4, 2, 0)
    assert (progress.cells_per_minute, progress.tokens_per_s, progress.remaining_s) == (30, 5, 12)
    assert progress.current == {"temperature": 0.2}
    assert progress.finish_at(START) == START + timedelta(seconds=12)


def test_nothing_is_said_of_a_pace_before_a_cell_has_finished() -> None:
    progress = Tally(10).progress(START)
    assert (progress.cells_per_minute, progress.remaining_s, progress.preview) == (None, None, None)


def test_the_preview_names_a_best_configuration_only_where_there_is_one() -> None:
    tally = Tally(9)
    tally.add(table(scored(0.1, 100), scored(0.1, 50), scored(0.9, 60)))
    assert tally.preview() == {
        "best_quality_score": 75.0,
        "average_quality_score": 70.0,
        "optimal_parameters": {"temperature": 0.1},
        "metric": "completeness/1",
        "cells": 3,
    }
    tally.add(table(scored(0.9, 90)))
    tied = tally.preview()
    assert tied is not None
    assert tied["optimal_parameters"] is None


def test_failed_cells_are_counted_and_not_scored() -> None:
    tally = Tally(2)
    tally.add(table({"error_code": "engine_error"}))
    assert (tally.failed, tally.preview()) == (1, None)


def test_a_summary_takes_its_figures_from_cells_that_went_well() -> None:
    rows = table(
        scored(0.1, 100, ttft_ms=10.0, latency_ms=100.0, ordinal=0),
        scored(0.1, 50, ttft_ms=30.0, latency_ms=300.0, ordinal=1),
        {"temperature": 0.1, "error_code": "engine_error", "ordinal": 2},
        scored(0.9, 70, parameters=json.dumps({"top_k": 3}), ordinal=3),
    )
    first, second = by_configuration(rows)
    assert (first.cells, first.errors, first.completeness, first.tokens) == (3, 1, 75, 10)
    assert (first.ttft_ms, first.latency_ms) == (20, 200)
    assert second.parameters == {"temperature": 0.9, "top_k": 3}
    assert second.ttft_ms is None
