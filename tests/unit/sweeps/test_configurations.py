"""Samples, constraints, listed configurations and anchors: which cells there are."""

from collections import Counter
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cluster.errors import BadRequest, NothingToRun, PlanTooLarge
from pipelines.sweeps.plan import Plan
from pipelines.sweeps.sample import latin_places, random_places
from pipelines.sweeps.spec import read_spec
from tests.unit.sweeps.test_spec import SPEC

# On a machine that is busy with other things a draw may take long.
UNHURRIED = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
TWO = {"temperature": [0, 0.5, 1.0], "top_p": [0.5, 0.9, 1.0]}
HUGE = {"temperature": {"min": 0, "max": 2, "step": 0.000001}, "top_p": {"min": 0.1, "max": 1, "step": 0.000001}}


def plan_of(**changes: Any) -> Plan:
    return Plan(spec=read_spec({**SPEC, **changes}))


def sent(plan: Plan) -> list[dict[str, Any]]:
    return [dict(plan.space.at(place).parameters) for place in range(plan.configurations)]


def anything(place: int) -> bool:
    return place >= 0


@given(st.integers(1, 5000), st.integers(1, 60), st.integers(0, 9))
@settings(UNHURRIED, max_examples=50)
def test_a_random_sample_holds_no_place_twice_and_grows_by_its_count(total: int, count: int, seed: int) -> None:
    some, more = random_places(total, count, seed, anything), random_places(total, count + 5, seed, anything)
    assert len(some) == len(set(some)) == min(count, total)
    assert all(0 <= place < total for place in some)
    assert set(some) <= set(more)


@given(st.integers(1, 40), st.lists(st.integers(1, 30), min_size=1, max_size=3), st.integers(0, 9))
@settings(UNHURRIED, max_examples=60)
def test_a_latin_hypercube_puts_one_point_into_each_part_of_each_axis(
    count: int, pieces: list[int], seed: int
) -> None:
    sizes = [count * piece for piece in pieces]  # whole parts, so that each point's part can be told
    places = latin_places(sizes, count, seed, anything)
    assert len(places) == count
    for axis in range(len(sizes)):
        after = 1
        for size in sizes[axis + 1 :]:
            after *= size
        values = [place // after % sizes[axis] for place in places]
        assert sorted(value // pieces[axis] for value in values) == list(range(count))


def test_a_latin_hypercube_over_few_values_takes_each_about_as_often() -> None:
    plan = plan_of(
        parameters={"temperature": {"min": 0, "max": 1, "step": 0.001}, "top_p": [0.5, 0.9, 1.0]},
        sample={"kind": "latin_hypercube", "count": 10},
    )
    assert set(Counter(one["top_p"] for one in sent(plan)).values()) == {3, 4}


def test_a_sample_of_a_grid_nobody_could_walk_is_taken_at_once() -> None:
    for kind in ("random", "latin_hypercube"):
        plan = plan_of(parameters=HUGE, sample={"kind": kind, "count": 20})
        assert plan.configurations == 20
        assert len({cell.id for cell in plan.cells()}) == plan.total == 40


def test_a_sample_of_a_grid_beyond_machine_words_varies_every_parameter() -> None:
    axis = {"min": 0.1, "max": 1, "step": 0.0000000001}
    names = ("temperature", "top_p", "min_p")
    for kind in ("random", "latin_hypercube"):
        plan = plan_of(parameters=dict.fromkeys(names, axis), sample={"kind": kind, "count": 20})
        assert plan.space.grid > 2**64
        for name in names:
            values = [one[name] for one in sent(plan)]
            assert len(set(values)) == 20
            assert min(values) < 0.4 < 0.7 < max(values)


def test_another_seed_is_another_sample_and_another_run() -> None:
    one, other = (plan_of(parameters=HUGE, sample={"kind": "random", "count": 9, "seed": n}) for n in (1, 2))
    assert one.run_id != other.run_id
    assert sent(one) != sent(other)


def test_a_sample_larger_than_the_grid_takes_it_whole_and_says_so() -> None:
    plan = plan_of(parameters=TWO, sample={"kind": "random", "count": 50})
    assert plan.configurations == 9
    assert "all 9 combinations" in plan.notes()[-1]


@pytest.mark.parametrize(
    ("constraint", "left"),
    [
        ({"exclude": {"temperature": 0, "top_p": [0.5, 0.9]}}, 7),
        ({"exclude": {"temperature": {"above": 0.4, "at_most": 1}}}, 3),
        ({"when": {"temperature": 0}, "then": {"top_p": 1}}, 7),
        ({"exclude": {"temperature": {"above": "top_p"}}}, 7),
        ({"exclude": {"temperature": 3}}, 9),
        ({"exclude": {"temperature": [True, False]}}, 9),
    ],
)
def test_a_constraint_leaves_combinations_out(constraint: dict[str, Any], left: int) -> None:
    plan = plan_of(parameters=TWO, constraints=[constraint])
    assert plan.configurations == left
    assert plan.total == len(list(plan.cells())) == 2 * left
    assert (left < 9) == bool([note for note in plan.notes() if "left out" in note])


@given(st.sets(st.sampled_from([0, 0.5, 1.0])), st.integers(1, 3), st.booleans())
@settings(UNHURRIED, max_examples=30)
def test_counted_and_enumerated_cells_are_the_same(hot: set[float], repeats: int, anchor: bool) -> None:
    plan = plan_of(
        parameters=TWO,
        repeats=repeats,
        greedy_anchor=anchor,
        constraints=[{"exclude": {"temperature": sorted(hot)}}],
    )
    cells = list(plan.cells())
    assert len({cell.id for cell in cells}) == len(cells) == plan.total
    assert [cell.ordinal for cell in cells] == list(range(plan.total))
    assert [plan.model_of(cell.ordinal) for cell in cells] == [cell.model for cell in cells]
    assert sum(cell.greedy for cell in cells) == plan.anchors


def test_constraints_that_leave_nothing_are_no_plan() -> None:
    with pytest.raises(NothingToRun, match="constraints leave none of 9"):
        plan_of(parameters=TWO, constraints=[{"exclude": {"temperature": {"at_least": 0}}}]).check(100)


def test_constraints_do_not_walk_a_grid_of_billions() -> None:
    plan = plan_of(parameters=HUGE, constraints=[{"exclude": {"temperature": 0}}])
    with pytest.raises(PlanTooLarge, match="look through"):
        plan.check(1_000_000)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"constraints": [{"exclude": {"top_k": 3}}]}, "'top_k'"),
        ({"constraints": [{"exclude": {"temperature": {"over": 1}}}]}, "over"),
        ({"constraints": [{"when": {"temperature": 1}}]}, "then"),
        ({"constraints": [{"exclude": {"temperature": {"above": True}}}]}, "above|compared"),
        ({"sample": {"kind": "random"}}, "count"),
        ({"sample": {"kind": "grid", "count": 3}}, "count"),
        ({"sample": {"kind": "random", "count": 0}}, "count"),
        ({"configurations": [{"temperature": 1}]}, "3 values"),
        ({"parameters": {}, "configurations": [{"temperature": [1, 2]}]}, "2 values"),
        ({"parameters": {}, "configurations": [{"temperature": 1}, {"temperature": 1.0}]}, "given twice"),
        ({"constraints": [{"exclude": {"temperature": {"above": float("nan")}}}]}, "nan is no value"),
        ({"constraints": [{"exclude": {"temperature": [0, float("inf")]}}]}, "inf is no value"),
        ({"parameters": {"max_tokens": 8}, "configurations": [{"max_completion_tokens": 9}]}, "name one"),
    ],
)  # fmt: skip
def test_what_makes_no_configurations_is_refused(change: dict[str, Any], said: str) -> None:
    with pytest.raises(BadRequest, match=said):
        read_spec({**SPEC, "parameters": TWO, **change})


def test_listed_configurations_are_exactly_those() -> None:
    listed = [{"temperature": 0}, {"temperature": 0.9, "top_p": 0.5}]
    plan = plan_of(parameters={"max_tokens": 8}, configurations=listed)
    assert sent(plan) == [{"max_tokens": 8, "temperature": 0}, {"max_tokens": 8, "temperature": 0.9, "top_p": 0.5}]
    assert plan.max_tokens == 4 * 8
    assert len({cell.config_id for cell in plan.cells()}) == 2


def test_a_listed_configuration_is_the_same_cell_as_in_a_grid() -> None:
    grid = plan_of(parameters={"temperature": [0.1, 0.2]})
    listed = plan_of(configurations=[{"temperature": 0.2}, {"temperature": 0.1}])
    assert {cell.id for cell in grid.cells()} == {cell.id for cell in listed.cells()}


def test_values_that_are_no_numbers_are_choices() -> None:
    plan = plan_of(parameters={"stop": [".", ["!", "?"]], "response_format": {"type": "json_object"}})
    assert sent(plan) == [
        {"stop": ".", "response_format": {"type": "json_object"}},
        {"stop": ["!", "?"], "response_format": {"type": "json_object"}},
    ]


def test_an_anchor_is_one_greedy_cell_for_each_prompt_and_model() -> None:
    plan = plan_of(
        models=["a", "b"],
        parameters={"temperature": [0.5, 1], "top_p": 0.9, "max_tokens": [8, 64, 32], "min_p": 0.1},
        repeats=3,
        greedy_anchor=True,
    )
    anchors = [cell for cell in plan.cells() if cell.greedy]
    assert len(anchors) == plan.anchors == 4
    assert plan.total == 4 + 2 * 2 * 6 * 3
    assert {tuple(sorted(cell.parameters.items())) for cell in anchors} == {
        (("max_tokens", 64), ("temperature", 0))
    }
    assert len({cell.config_id for cell in plan.cells()}) == 2 * (6 + 1)
    assert plan.max_tokens == 2 * 2 * 3 * 2 * (8 + 64 + 32) + 4 * 64


def test_settings_of_retrieval_are_axes() -> None:
    plan = plan_of(parameters={"temperature": [0, 1]}, retrieval={"limit": [2, 4], "mode": ["bm25", "hybrid"]})
    assert plan.configurations == 8
    cells = list(plan.cells())
    assert len({cell.id for cell in cells}) == len(cells) == 16
    assert cells[0].retrieval == {"mode": "bm25", "limit": 2}
    assert cells[0].parameters == {"temperature": 0}


@pytest.mark.parametrize(
    ("retrieval", "said"),
    [
        ({"embedder": "m"}, "belongs to a stored collection"),
        ({"weights": [2, 1]}, "dense: 2, bm25: 1"),
        ({"weights": {"bm25": 0}}, "above 0"),
        ({"weights": {"dense": 2}, "mode": ["bm25", "hybrid"]}, "of hybrid search"),
        ({"weights": [{"dense": 1}, {"dense": 1, "bm25": 1}]}, "twice"),
        ({"chunk_size": 64}, "chunk_tokens is its name"),
        ({"chunk_tokens": [15, 64]}, "from 16"),
        ({"chunk_overlap": -1}, "from 0"),
        ({"rerank": 5}, "a model's name"),
        ({"rerank": [None, "m"], "diversity": [0, 0.5]}, "two orders of the same passages"),
        ({"mode": "best"}, "dense, bm25, hybrid"),
        ({"limit": 0}, "from 1"),
        ({}, "names no setting"),
        ({"where": {"type": "nope"}}, "retrieval"),
    ],
)
def test_settings_of_retrieval_that_cannot_vary_are_refused(retrieval: dict[str, Any], said: str) -> None:
    with pytest.raises(BadRequest, match=said):
        read_spec({**SPEC, "retrieval": retrieval})


def test_what_constraints_leave_out_is_not_called_degenerate() -> None:
    rule = {"exclude": {"temperature": 0, "top_p": {"below": 1}}}
    assert not [note for note in plan_of(parameters=TWO, constraints=[rule]).notes() if "top_p" in note]
    assert [
        note for note in plan_of(parameters=TWO, constraints=[{"exclude": {"top_p": 1}}]).notes() if "top_p" in note
    ]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"parameters": {"min_tokens": [0, 16], "max_tokens": [8, 64]}}, True),
        ({"parameters": {"min_tokens": [0, 8], "max_tokens": [8, 64]}}, False),
        ({"parameters": {}, "configurations": [{"min_tokens": 9, "max_completion_tokens": 8}, {}]}, True),
        ({"parameters": {}, "configurations": [{"min_tokens": 9}, {"max_tokens": 8}]}, False),
    ],
)
def test_a_least_length_above_the_limit_is_said(change: dict[str, Any], said: bool) -> None:
    assert said == bool([note for note in plan_of(**change).notes() if "min_tokens" in note])
