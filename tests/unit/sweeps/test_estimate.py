from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa
import pytest

from pipelines.sweeps.estimate import Pace, estimate, pace_of
from pipelines.sweeps.plan import Plan
from pipelines.sweeps.spec import read_spec
from tests.unit.sweeps.test_spec import SPEC

START = datetime(2026, 1, 31, 12, tzinfo=UTC)
PROMPTS = [f"prompt number {n:02}" for n in range(20)]


def plan_of(**changes: Any) -> Plan:
    given = {**SPEC, "prompts": PROMPTS, "parameters": {"temperature": [0.1, 0.9], "max_tokens": 50}, **changes}
    return Plan(spec=read_spec(given))


def rows(*cells: tuple[float, float]) -> pa.Table:
    """Cells by their begin and length in seconds, of 10 tokens each."""
    return pa.Table.from_pylist(
        [
            {
                "model": "m",
                "started": START + timedelta(seconds=begin),
                "latency_ms": 1000 * length,
                "completion_tokens": 10,
                "error_code": None,
            }
            for begin, length in cells
        ]
    )


def test_tokens_and_cells_are_told() -> None:
    told = estimate(plan_of(repeats=3))
    assert (told.cells, told.answer_tokens, told.configurations) == (120, 6000, 2)
    assert 120 * 10 < told.prompt_tokens < 120 * 20
    assert told.seconds is None
    assert told.cost_usd is None


def test_time_follows_the_speed_of_a_run_before() -> None:
    told = estimate(plan_of(), Pace(cells_per_s=2, tokens_per_s=1000))
    assert told.seconds == pytest.approx(2.0)  # 2,000 tokens at most
    told = estimate(plan_of(parameters={"temperature": [0.1, 0.9]}), Pace(cells_per_s=2, tokens_per_s=1000))
    assert told.seconds == pytest.approx(20.0)


def test_a_speed_leaves_out_the_time_in_which_nothing_ran() -> None:
    assert pace_of(rows((0, 1))) is None
    pace = pace_of(rows(*((n / 2, 1.0) for n in range(9)), (1000.0, 5.0)))
    assert pace is not None
    assert pace.cells_per_s == pytest.approx(10 / (5 + 5))
    assert pace.tokens_per_s == pytest.approx(100 / 10)


def test_cost_is_told_where_there_is_a_price() -> None:
    prices = {"m": {"prompt": 0.0, "completion": 1000.0}}
    assert estimate(plan_of(prices=prices)).cost_usd == pytest.approx(2.0)
    assert estimate(plan_of(prices=prices, parameters={})).cost_usd is None


def test_the_smallest_detectable_effect_is_told_or_why_there_is_none() -> None:
    few, many = (estimate(plan_of(prompts=PROMPTS[:count])) for count in (8, 20))
    assert few.smallest_effect is not None
    assert many.smallest_effect is not None
    assert few.smallest_effect > many.smallest_effect
    assert "one prompt" in (estimate(plan_of(prompts=["a"])).effect_note or "")
    assert "nothing to compare" in (estimate(plan_of(parameters={})).effect_note or "")
