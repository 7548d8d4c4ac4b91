"""How many replicas a load asks for, and how the policy tells why."""

from types import SimpleNamespace
from typing import Any

import pytest

from cluster import serve_decisions
from deployments.fleet.autoscaling import Aim, Load, Policy, decide, load_of
from tests.unit.fleet.scaling_context import context

AIM = Aim(ongoing=10, ttft_p95_ms=500, queued=8)


def decided(aim: Aim = AIM, **load: Any) -> tuple[float, str]:
    said = {"running": 2, "target": load.get("running", 2), "ongoing": 20.0, **load}
    decision = decide(Load(**said), aim)
    return decision.replicas, decision.reason


@pytest.mark.parametrize(
    ("load", "expected"),
    [
        ({"ongoing": 20}, (2.0, "ongoing")),
        ({"ongoing": 35}, (3.5, "ongoing")),
        ({"ongoing": 5}, (0.5, "ongoing")),
        ({"ongoing": 0}, (0.0, "idle")),
        ({"queued": 24}, (3.0, "queued")),  # 12 a replica, 8 are allowed
        ({"queued": 1000}, (4.0, "queued")),  # at most twice as many at once
        ({"ttft_p95_ms": 600}, (2.4, "ttft_p95_ms")),
        ({"ttft_p95_ms": 60_000}, (4.0, "ttft_p95_ms")),
        ({"ttft_p95_ms": 600, "queued": 24}, (3.0, "queued")),
        ({"ongoing": 60, "ttft_p95_ms": 600}, (6.0, "ongoing")),
    ],
)
def test_the_most_that_anything_asks_for(load: dict[str, Any], expected: tuple[float, str]) -> None:
    assert decided(**load) == expected


def test_waits_that_nobody_limits_bring_no_replica() -> None:
    assert decided(Aim(ongoing=10), queued=1000, ttft_p95_ms=9000) == (2.0, "ongoing")


@pytest.mark.parametrize("load", [{"ttft_p95_ms": 300}, {"queued": 10}])
def test_none_goes_while_the_waits_are_near_their_limits(load: dict[str, Any]) -> None:
    assert decided(ongoing=3, **load)[0] == 2.0


def test_one_may_go_once_the_waits_are_short() -> None:
    assert decided(ongoing=3, ttft_p95_ms=200, queued=6) == (0.3, "ongoing")


def test_an_old_wait_holds_no_replica_that_has_nothing_to_do() -> None:
    assert decided(ongoing=0, ttft_p95_ms=9000) == (0.0, "idle")


def test_what_is_on_its_way_is_waited_for_while_there_is_something_to_do() -> None:
    assert decided(running=1, target=3, ongoing=12) == (3.0, "starting")
    assert decided(running=1, target=3, ongoing=0) == (0.0, "idle")


def test_without_a_replica_serve_itself_decides() -> None:
    assert decided(running=0, target=0, ongoing=0) == (0.0, "idle")
    assert decided(running=0, target=1, ongoing=5) == (1.0, "starting")


def series(*values: float) -> list[Any]:
    return [SimpleNamespace(timestamp=float(place), value=value) for place, value in enumerate(values)]


def test_the_last_figures_of_all_replicas_make_the_load() -> None:
    raw = {
        "ttft_p95_ms": {"r1": series(900, 100), "r2": series(250), "r3": []},
        "waiting": {"r1": series(9, 2), "r2": series(3)},
        "queued": {"r1": series(7), "r2": series(8)},
    }
    load = load_of(context(raw_metrics=raw, total_queued_requests=1.0))
    assert load == Load(running=1, target=1, ongoing=4.0, queued=1 + 5 + 8, ttft_p95_ms=250)


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    said: list[dict[str, Any]] = []
    monkeypatch.setattr(
        serve_decisions, "put", lambda deployment, decision: said.append({"of": deployment, **decision})
    )
    return said


def test_a_policy_that_was_just_deployed_forgets_what_was_decided_before(told: list[dict[str, Any]]) -> None:
    _, state = Policy(ongoing=2)(context())
    assert told == [{"of": "m"}]
    Policy(ongoing=2)(context(policy_state=state))
    assert len(told) == 1


def test_a_decision_is_told_once_when_serve_has_applied_it(told: list[dict[str, Any]]) -> None:
    policy = Policy(ongoing=2)
    wanted, state = policy(context())
    told.clear()
    assert wanted == 2.0
    _, state = policy(context(policy_state=state))  # still within the delay
    assert told == []
    _, state = policy(context(policy_state=state, target_num_replicas=2))
    _, state = policy(context(policy_state=state, target_num_replicas=2, current_num_replicas=2))
    (one,) = told
    assert {name: one[name] for name in ("of", "reason", "before", "target", "ongoing")} == {
        "of": "m",
        "reason": "ongoing",
        "before": 1,
        "target": 2,
        "ongoing": 4.0,
    }


def test_serves_own_start_from_zero_is_told_as_a_request(told: list[dict[str, Any]]) -> None:
    policy = Policy(ongoing=2)
    _, state = policy(context(current_num_replicas=0, target_num_replicas=0, total_num_requests=0.0))
    told.clear()
    policy(context(policy_state=state))
    assert [(one["reason"], one["before"], one["target"]) for one in told] == [("request", 0, 1)]


def test_what_cannot_be_told_is_decided_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any) -> None:
        raise RuntimeError("no store")

    monkeypatch.setattr(serve_decisions, "put", broken)
    policy = Policy(ongoing=2)
    _, state = policy(context())
    assert policy(context(policy_state=state, target_num_replicas=2))[0] == 2.0
