from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from cluster.errors import BadRequest
from pipelines.sweeps.budget import SessionLimits
from pipelines.sweeps.plan import Plan
from pipelines.sweeps.spec import read_spec
from tests.unit.sweeps.test_spec import SPEC

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)
PRICES = {"m": {"prompt": 1.0, "completion": 3.0}}


def limits(**changes: Any) -> SessionLimits:
    spec = read_spec({**SPEC, **changes})
    return SessionLimits(budget=spec.budget, deadline=spec.deadline, deadline_s=spec.deadline_s, begun=NOW)


def test_a_run_without_limits_goes_on() -> None:
    assert limits().reason(NOW + timedelta(days=9), tokens=10**9, cost=10**9) is None


def test_a_budget_ends_a_run_when_it_is_spent() -> None:
    tokens = limits(budget={"max_tokens_total": 100})
    assert tokens.reason(NOW, tokens=99, cost=0) is None
    assert "100 tokens" in (tokens.reason(NOW, tokens=100, cost=0) or "")
    money = limits(budget={"max_cost_usd": 0.5}, prices=PRICES)
    assert money.reason(NOW, tokens=10**9, cost=0.49) is None
    assert "$0.50" in (money.reason(NOW, tokens=0, cost=0.5) or "")


def test_a_deadline_is_a_moment_or_a_length_of_a_session() -> None:
    for given in ({"deadline_s": 60}, {"deadline": "2026-01-31T13:01:00+01:00"}):
        limited = limits(**given)
        assert limited.reason(NOW + timedelta(seconds=59), tokens=0, cost=0) is None
        assert "deadline" in (limited.reason(NOW + timedelta(seconds=60), tokens=0, cost=0) or "")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"budget": {}}, "names no limit"),
        ({"budget": {"max_cost_usd": 1}}, "price of m"),
        ({"budget": {"max_tokens_total": 0}}, "max_tokens_total"),
        ({"deadline": "2026-01-31T13:00:00"}, "zone"),
        ({"deadline": "soon"}, "deadline"),
        ({"deadline_s": 0}, "deadline_s"),
        ({"prices": {"m": {"prompt": -1, "completion": 0}}}, "prices"),
        ({"scorers": ["beauty"]}, "no scorer 'beauty'"),
        ({"weights": {"beauty": 1}}, "beauty"),
        ({"weights": {"readability": 0}}, "0"),
        ({"scorers": ["judge"]}, "judge"),
        ({"judge": {"model": "m", "criteria": {}}}, "criteria"),
    ],
)
def test_limits_and_scores_that_cannot_be_are_refused(change: dict[str, Any], said: str) -> None:
    with pytest.raises(BadRequest, match=said):
        read_spec({**SPEC, **change})


def test_limits_and_scores_change_no_cell() -> None:
    plain = Plan(spec=read_spec(SPEC))
    limited = Plan(
        spec=read_spec(
            {
                **SPEC,
                "budget": {"max_tokens_total": 5},
                "deadline_s": 3,
                "prices": PRICES,
                "weights": {"readability": 1},
                "scorers": ["readability", "overall"],
            }
        )
    )
    assert limited.run_id == plain.run_id
    assert list(limited.cells()) == list(plain.cells())


@pytest.mark.parametrize("seconds", [1e10, 1e15, 1e308])
def test_a_length_of_a_session_beyond_the_calendar_is_a_long_one(seconds: float) -> None:
    """Python's calendar ends, and with it the sweep did."""
    assert limits(deadline_s=seconds).reason(NOW + timedelta(days=9), tokens=0, cost=0) is None


def test_sums_that_no_float_holds_are_refused() -> None:
    """The cost of a plan was infinite, and the mean of all scores no number."""
    for change in (
        {"prices": {"m": {"prompt": 1e308, "completion": 0}}},
        {"weights": {"completeness": 1e308, "readability": 1e308}},
    ):
        with pytest.raises(BadRequest, match=r"most|over"):
            read_spec({**SPEC, **change})
