"""Every statistic of the same runs: whole ones and broken ones, all of which JSON must be able to carry."""

import json
from dataclasses import asdict

import numpy as np
import pyarrow as pa
import pytest

from cluster.stores.runs import schema
from pipelines.analysis.best import best
from pipelines.analysis.breakdown import breakdown
from pipelines.analysis.comparisons import pairwise
from pipelines.analysis.correlation import correlations
from pipelines.analysis.effects import anova
from pipelines.analysis.frame import frame_of
from pipelines.analysis.friedman import friedman
from pipelines.analysis.insights import insights
from pipelines.analysis.intervals import configurations
from pipelines.analysis.levels import levels
from pipelines.analysis.optima import optima
from pipelines.analysis.pareto import front
from pipelines.analysis.trends import trend
from pipelines.analysis.variance import split
from tests.unit.analysis.sweeps import frame, rows_of, world

GRID = {"model": ["a", "b"], "temperature": [0, 0.5, 1]}


def holed(seed, share):
    values = world(seed, 7, 6)
    values[np.random.default_rng(seed).random(values.shape) < share] = np.nan
    return values


def half_failed():
    values = world(1, 7, 6)
    values[::2, 3:] = np.nan
    return values


RUNS = {
    "whole": world(1, 7, 6),
    "one prompt": world(1, 1, 6),
    "two prompts": world(1, 2, 6),
    "one repeat": world(1, 7, 6, 1),
    "one cell each, one prompt": world(1, 1, 6, 1),
    "constant": np.full((7, 6, 3), 70.0),
    "constant prompts": np.broadcast_to(np.arange(7.0).reshape(7, 1, 1), (7, 6, 3)),
    "constant configurations": np.broadcast_to(np.arange(6.0).reshape(1, 6, 1), (7, 6, 3)),
    "holes": holed(1, 0.2),
    "mostly holes": holed(2, 0.9),
    "a model that fails for half the prompts": half_failed(),
    "all failed": np.full((7, 6, 3), np.nan),
    "enormous": world(1, 7, 6) * 1e150,
    "tiny": world(1, 7, 6) * 1e-150,
}


@pytest.mark.parametrize("name", RUNS)
def test_every_figure_is_a_number_or_none(name):
    found = frame(RUNS[name], GRID)
    metric = "overall" if found.metrics else "cost"
    told = [
        *configurations(found, metric),
        *breakdown(found, [metric]),
        *levels(found, metric, "model", "temperature"),
        pairwise(found, metric),
        pairwise(found, metric, by="model"),
        friedman(found, metric),
        anova(found, metric),
        *correlations(found, ["temperature"], [metric]),
        split(found, metric),
        best(found, metric),
        *optima(found, metric),
        front(found, metric),
        insights(found, metric),
        trend(found, metric),
    ]
    for each in told:
        json.dumps(asdict(each), default=str, allow_nan=False)


@pytest.mark.parametrize("rows", [schema().empty_table(), rows_of(np.ones((1, 1, 1))), pa.table({"model": ["m"]})])
def test_next_to_nothing_is_no_crash(rows):
    found = frame_of(rows)
    for told in (pairwise, friedman, anova, split, best, front, insights, trend):
        json.dumps(asdict(told(found, "latency_ms")), default=str, allow_nan=False)
    assert optima(found, "latency_ms") == []
    assert breakdown(found, ["latency_ms"])
    assert len(configurations(found, "latency_ms")) == len(found.configurations)
