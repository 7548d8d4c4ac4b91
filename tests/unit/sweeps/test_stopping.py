"""Repeats that end early: which cells run, what is left out, and that nothing is lost by it."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from cluster.errors import BadRequest
from cluster.stores.run_state import COMPLETED, PAUSED
from cluster.stores.runs import Run
from pipelines.sweeps import in_process, lanes
from pipelines.sweeps.plan import Cell, Plan
from pipelines.sweeps.spec import read_spec
from pipelines.sweeps.stopping import narrow_in, run_rounds
from tests.unit.sweeps.driving import House

SPEC: dict[str, Any] = {
    "name": "x",
    "models": ["m"],
    "prompts": [f"prompt number {n}" for n in range(10)],
    "parameters": {"temperature": [0.1, 0.9], "max_tokens": 8},
    "repeats": 5,
}
RULE = {"metric": "latency_ms", "half_width": 5.0, "min_repeats": 2}
CALM, WILD = 0.1, 0.9


@pytest.fixture(autouse=True)
def prompt(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ends are seen at once."""
    for module in (lanes, in_process):
        monkeypatch.setattr(module, "LOOK_S", 0.005)


class Bench:
    """Keeps rows of cells that it was asked to run. Latencies differ by the prompt where it is wild."""

    def __init__(self, **changes: Any) -> None:
        self.plan = Plan(spec=read_spec({**SPEC, "stop_when": RULE, **changes}))
        self.ran: list[Cell] = []
        self.rounds: list[int] = []

    def run(self, ordinals: Sequence[int]) -> bool:
        self.rounds.append(len(ordinals))
        self.ran += [self.plan.cell(ordinal) for ordinal in ordinals]
        return True

    def rows(self, last: int) -> pa.Table:
        return pa.Table.from_pylist([_row(cell) for cell in self.ran if cell.repeat <= last])

    def drive(self) -> list[int]:
        there = {cell.ordinal for cell in self.ran}
        left = [ordinal for ordinal in range(self.plan.total) if ordinal not in there]
        return run_rounds(self.plan, left, self.run, self.rows)

    def repeats(self, temperature: float) -> set[int]:
        return {cell.repeat for cell in self.ran if cell.parameters["temperature"] == temperature}


def _row(cell: Cell) -> dict[str, Any]:
    off = int(cell.prompt_id[1:]) if cell.parameters["temperature"] == WILD else 0
    return {
        "run_id": cell.run_id,
        "ordinal": cell.ordinal,
        "model": cell.model,
        "prompt_id": cell.prompt_id,
        "prompt_hash": cell.prompt_hash,
        "config_id": cell.config_id,
        "temperature": cell.parameters["temperature"],
        "repeat": cell.repeat,
        "greedy": cell.greedy,
        "latency_ms": 100.0 + 40 * off + cell.repeat,
        "error_code": None,
    }


def test_a_narrow_configuration_gets_its_least_repeats_and_a_wide_one_all() -> None:
    bench = Bench()
    left_out = bench.drive()
    assert bench.repeats(CALM) == {1, 2, 3}
    assert bench.repeats(WILD) == {1, 2, 3, 4, 5}
    assert len(left_out) == 10 * 2
    assert len(bench.ran) + len(left_out) == bench.plan.total
    assert bench.rounds == [40, 20, 10, 10]


def test_a_round_keeps_the_plans_order_and_anchors_are_in_the_first() -> None:
    bench = Bench(greedy_anchor=True, parameters={"temperature": [CALM, WILD]})
    bench.drive()
    first = [cell.ordinal for cell in bench.ran[: bench.rounds[0]]]
    assert first == sorted(first)
    assert sum(cell.greedy for cell in bench.ran[: bench.rounds[0]]) == 10


def test_who_was_killed_between_or_within_rounds_decides_the_same_again() -> None:
    whole = Bench()
    expected = whole.drive()
    for kept in (0, 5, 20, 33, 40, 55, 69):
        bench = Bench()
        bench.ran = whole.ran[:kept]
        assert bench.drive() == expected
        assert sorted(cell.ordinal for cell in bench.ran) == sorted(cell.ordinal for cell in whole.ran)


def test_later_repeats_change_no_earlier_decision() -> None:
    """Rows of a run without the rule: a wide round stays wide, whatever came after."""
    bench = Bench()
    bench.ran = [cell for cell in bench.plan.cells() if cell.parameters["temperature"] == WILD]
    assert len(bench.drive()) == 10 * 2
    assert bench.repeats(CALM) == {1, 2, 3}


def test_a_wish_to_stop_leaves_nothing_out() -> None:
    bench = Bench()
    assert run_rounds(bench.plan, range(bench.plan.total), lambda _: False, bench.rows) == []


def test_a_metric_that_cannot_be_had_leaves_nothing_out() -> None:
    bench = Bench()
    assert run_rounds(bench.plan, range(bench.plan.total), bench.run, lambda _: None) == []
    assert len(bench.ran) == bench.plan.total


def test_under_ten_measured_prompts_nothing_is_narrow() -> None:
    bench = Bench()
    rule = bench.plan.spec.stop_when
    assert rule is not None
    bench.run(range(bench.plan.total))
    rows = bench.rows(5)
    failed = np.isin(rows.column("prompt_id").to_numpy(), ["p1"])
    codes = pa.array(np.where(failed, "engine_error", None), pa.string())
    assert len(narrow_in(rows, rule)) == 1
    assert not narrow_in(rows.set_column(rows.column_names.index("error_code"), "error_code", codes), rule)


def test_a_run_says_what_was_saved_and_without_the_rule_runs_it(tmp_path: Path) -> None:
    house = House(tmp_path)
    ruled = {**SPEC, "stop_when": {**RULE, "metric": "completion_tokens", "half_width": 1000.0}}
    outcome = house.run(ruled)
    run = outcome.run
    assert (outcome.ran, outcome.left_out, outcome.total, outcome.ended) == (60, 40, 100, None)
    assert (outcome.last.done, outcome.last.total) == (60, 60)
    assert run.standing().status == COMPLETED
    assert run.standing().reason == "stop_when saved 40 of 100 cells"
    again = house.run(ruled)
    assert (again.ran, again.left_out) == (0, 40)
    assert house.plan(SPEC).run_id == run.id
    assert (house.run(SPEC).ran, len(run.stored())) == (40, 100)
    assert len(house.asked) == 100
    assert run.standing().reason is None


def test_a_score_is_a_metric_too(tmp_path: Path) -> None:
    rule = {"metric": "completeness", "half_width": 100.0}
    outcome = House(tmp_path).run({**SPEC, "repeats": 4, "parameters": {"max_tokens": 8}, "stop_when": rule})
    assert (outcome.ran, outcome.left_out) == (30, 10)
    assert all("overall" in row["scores"] for row in outcome.run.table(["scores"]).to_pylist())


def test_a_paused_run_with_the_rule_goes_on(tmp_path: Path) -> None:
    house = House(tmp_path, token_delay_s=0.005)
    ruled = {**SPEC, "stop_when": {**RULE, "metric": "completion_tokens", "half_width": 1000.0}}
    run = Run(tmp_path, house.plan(ruled).run_id)
    asked: list[str] = []

    def pause(_: object) -> None:
        if len(run.stored()) >= 4 and not asked:
            asked.append("once")
            run.state.ask(PAUSED)

    first = house.run(ruled, pause, in_flight=4, block_cells=2)
    assert first.ended is not None
    assert first.left_out == 0
    second = house.run(ruled)
    assert (first.ran + second.ran, second.left_out) == (60, 40)


@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"prompts": [f"{n}" for n in range(9)]}, "stop_when"),
        ({"repeats": 2}, "stop_when.min_repeats"),
        ({"stop_when": {**RULE, "metric": "charm"}}, "stop_when.metric"),
        ({"scorers": ["readability"], "stop_when": {**RULE, "metric": "overall"}}, "stop_when.metric"),
        ({"stop_when": {**RULE, "half_width": 0}}, "stop_when.half_width"),
        ({"stop_when": {**RULE, "half_width": float("nan")}}, "stop_when.half_width"),
        ({"stop_when": {**RULE, "min_repeats": 1}}, "stop_when.min_repeats"),
        ({"stop_when": {"metric": "overall"}}, "stop_when.half_width"),
    ],
)
def test_a_rule_that_could_save_nothing_is_refused(change: dict[str, Any], param: str) -> None:
    with pytest.raises(BadRequest) as caught:
        read_spec({**SPEC, "stop_when": RULE, **change})
    assert caught.value.param == param


def test_a_plan_says_the_least_and_the_most() -> None:
    plan = Plan(spec=read_spec({**SPEC, "stop_when": RULE, "greedy_anchor": True}))
    assert plan.notes()[-1] == "stop_when may end repeats early: 70 cells run at least, 110 at most"
