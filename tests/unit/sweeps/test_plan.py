import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cluster.errors import ModelNotFound, NothingToRun, PlanTooLarge
from pipelines.sweeps.plan import Plan
from pipelines.sweeps.spec import load_spec, read_spec
from tests.unit.sweeps.test_spec import BATCH, SPEC

# On a machine that is busy with other things a draw may take long.
UNHURRIED = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
axes = st.lists(st.integers(0, 200).map(lambda n: n / 100), min_size=1, max_size=4, unique=True)
specs = st.fixed_dictionaries(
    {
        "name": st.just("x"),
        "models": st.lists(st.sampled_from(["a", "b", "c/d"]), min_size=1, max_size=3, unique=True),
        "prompts": st.lists(
            st.text(st.characters(codec="ascii"), min_size=1).filter(str.strip), min_size=1, max_size=4, unique=True
        ),
        "parameters": st.fixed_dictionaries({}, optional={"temperature": axes, "presence_penalty": axes}),
        "repeats": st.integers(1, 3),
        "seeds": st.booleans(),
    }
)


def plan_of(**changes: Any) -> Plan:
    return Plan(spec=read_spec({**SPEC, **changes}))


@given(specs)
@settings(UNHURRIED, max_examples=60)
def test_every_combination_is_one_cell_with_an_id_of_its_own(data: dict[str, Any]) -> None:
    cells = list(Plan(spec=read_spec(data)).cells())
    expected = len(data["models"]) * len(data["prompts"]) * data["repeats"]
    for values in data["parameters"].values():
        expected *= len(values)
    assert len({cell.id for cell in cells}) == len(cells) == expected
    combinations = {(c.model, c.prompt_id, tuple(c.parameters.items()), c.repeat) for c in cells}
    assert len(combinations) == expected


@given(specs)
@settings(UNHURRIED, max_examples=40)
def test_the_configurations_of_a_prompt_come_together(data: dict[str, Any]) -> None:
    order = [cell.prompt_id for cell in Plan(spec=read_spec(data)).cells()]
    assert order == sorted(order, key=lambda name: int(name[1:]))


@given(specs)
@settings(UNHURRIED, max_examples=40)
def test_a_plan_is_the_same_whenever_it_is_made(data: dict[str, Any]) -> None:
    first, again = Plan(spec=read_spec(data)), Plan(spec=read_spec(dict(reversed(data.items()))))
    assert first.run_id == again.run_id
    assert list(first.cells()) == list(again.cells())


def test_a_run_is_named_by_what_is_asked_and_not_by_its_name() -> None:
    assert plan_of(name="b", description="c").run_id == plan_of().run_id
    assert plan_of(repeats=2).run_id != plan_of().run_id


def test_repeats_and_revisions_are_part_of_a_cells_identity() -> None:
    assert len({cell.id for cell in plan_of(repeats=5).cells()}) == 10
    spec = read_spec(SPEC)
    old, new = Plan(spec=spec, revisions={"m": "1"}), Plan(spec=spec, revisions={"m": "2"})
    assert old.run_id == new.run_id
    assert not {cell.id for cell in old.cells()} & {cell.id for cell in new.cells()}


def test_a_cell_keeps_its_id_when_the_spec_grows() -> None:
    small = {cell.id for cell in plan_of().cells()}
    large = {cell.id for cell in plan_of(repeats=3, prompts=[*SPEC["prompts"], "three"]).cells()}
    assert small < large


@pytest.mark.parametrize(
    ("spec", "run_id", "first", "last"),
    [
        (SPEC, "a327ae470a65", "0d457f094e1da424bd6d", "ca1349b038c52cca6302"),
        (BATCH, "2d51517dc63b", "e063faf7089d32cd2c6e", "c9f52c7abeed19393e07"),
    ],
)
def test_a_run_of_before_is_found_by_its_spec(spec: dict[str, Any], run_id: str, first: str, last: str) -> None:
    """Written down before anchors, samples and constraints were there: stored runs must go on."""
    plan = Plan(spec=read_spec(spec), revisions={"m": "r"})
    assert (plan.run_id, plan.cell(0).id, plan.cell(plan.total - 1).id) == (run_id, first, last)


@given(specs, st.randoms(use_true_random=False))
@settings(UNHURRIED, max_examples=30)
def test_cells_keep_their_ids_in_another_order(data: dict[str, Any], random: Any) -> None:
    shuffled = {**data, "parameters": dict(reversed(data["parameters"].items()))}
    for name in ("models", "prompts"):
        shuffled[name] = random.sample(data[name], len(data[name]))
    one, other = (Plan(spec=read_spec(spec)) for spec in (data, shuffled))
    assert {cell.id for cell in one.cells()} == {cell.id for cell in other.cells()}
    assert {cell.config_id for cell in one.cells()} == {cell.config_id for cell in other.cells()}


@given(specs)
@settings(UNHURRIED, max_examples=30)
def test_a_spec_that_grows_keeps_its_cells(data: dict[str, Any]) -> None:
    larger = {
        **data,
        "models": [*data["models"], "one-more"],
        "prompts": [*data["prompts"], "one more prompt that nobody had"],
        "repeats": data["repeats"] + 1,
    }
    small, large = (Plan(spec=read_spec(spec)) for spec in (data, larger))
    assert {cell.id for cell in small.cells()} < {cell.id for cell in large.cells()}


def test_a_configuration_has_one_id_over_prompts_and_repeats() -> None:
    plan = plan_of(parameters={"temperature": [0.1, 0.9]}, repeats=3)
    assert len({cell.config_id for cell in plan.cells()}) == 2
    assert len({(cell.config_id, cell.parameters["temperature"]) for cell in plan.cells()}) == 2


def test_seeds_belong_to_cells_and_can_be_left_out() -> None:
    seeds = [cell.seed for cell in plan_of(repeats=3).cells()]
    assert len(set(seeds)) == 6
    assert all(seed is not None and 0 <= seed < 2**31 for seed in seeds)
    assert {cell.seed for cell in plan_of(seeds=False).cells()} == {None}


def test_the_batch_of_the_api_has_every_cell() -> None:
    plan = Plan(spec=read_spec(BATCH))
    assert (plan.total, plan.max_tokens) == (10 * 5 * 3 * 3, 10 * 5 * 3 * (150 + 300 + 500))


def test_ten_million_cells_are_refused_at_once() -> None:
    begun = time.thread_time()
    plan = plan_of(parameters={"temperature": {"min": 0, "max": 1, "step": 0.000001}}, repeats=5)
    with pytest.raises(PlanTooLarge, match="10,000,010"):
        plan.check(1_000_000)
    assert time.thread_time() - begun < 2


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"prompts": []}, "prompts"),
        ({"models": []}, "models"),
        ({"repeats": 0}, "repeats"),
        ({"parameters": {"temperature": []}}, "temperature"),
    ],
)
def test_a_plan_without_cells_says_what_is_empty(change: dict[str, Any], named: str) -> None:
    with pytest.raises(NothingToRun, match=named):
        plan_of(**change).check(10)


def test_a_model_that_nobody_serves_is_refused() -> None:
    with pytest.raises(ModelNotFound, match="'m'"):
        plan_of().check(10, ["other"])


def test_what_is_degenerate_is_said() -> None:
    notes = plan_of(parameters={"temperature": [0, 1], "top_p": [0.5, 1]}, repeats=2).notes()
    assert len(notes) == 2
    assert "top_p" in notes[0]
    assert "repeats" in notes[1]
    assert plan_of(parameters={"temperature": [0.5, 1], "top_p": [0.5, 1]}, repeats=2).notes() == ()


def test_the_demo_sweep_has_two_dozen_cells() -> None:
    plan = Plan(spec=load_spec(Path(__file__).parents[3] / "configs" / "sweeps" / "demo.yaml"))
    assert plan.total >= 24


def test_a_whole_step_names_the_same_run_however_it_is_written() -> None:
    ids = {
        plan_of(parameters={"temperature": {"min": least, "max": 2, "step": step}}).run_id
        for least, step in ((0, 1), (0.0, 1.0), (-0.0, 1))
    }
    assert len(ids) == 1


def test_stored_runs_keep_their_names() -> None:
    """Ids of runs as they were stored: a change of any would lose what is on disks."""
    grid = {"temperature": {"min": 0, "max": 1, "step": 0.5}, "max_tokens": [8, 16]}
    plan = plan_of(parameters=grid, repeats=2)
    assert (plan.run_id, plan.cell(0).id, plan.cell(0).seed) == ("181a17f03111", "3f12ed29db2ce804887a", 1139640241)


def test_the_shipped_sweep_has_forty_varied_prompts() -> None:
    plan = Plan(spec=load_spec(Path(__file__).parents[3] / "configs" / "sweeps" / "varied.yaml"))
    assert len(plan.spec.prompts) == 40
    assert plan.total == 40 * 6 * 3 + 40  # and an anchor for each prompt
