"""A run from its begin to its end: stopped, gone on with, damaged, out of disk, and exact every time."""

import asyncio
import errno
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from cluster.errors import DiskFull, EngineFailure, HeliostatError
from cluster.settings.pipelines import SweepSettings
from cluster.stores import runs
from cluster.stores.run_state import CANCELLED, COMPLETED, FAILED, PAUSED, STOPPED
from cluster.stores.runs import Run
from pipelines.sweeps import in_process, lanes, session
from pipelines.sweeps.block_runner import BlockRunner, WorkerTask
from pipelines.sweeps.spec import read_spec
from pipelines.sweeps.tally import Progress
from tests.unit.sweeps import driving
from tests.unit.sweeps.driving import House

SPEC: dict[str, Any] = {
    "name": "x",
    "models": ["m"],
    "prompts": ["one two three", "four five"],
    "parameters": {"temperature": [0.1, 0.9], "max_tokens": 8},
    "repeats": 5,
}


@pytest.fixture(autouse=True)
def prompt(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wishes are heard at once, so that short runs can be stopped."""
    for module in (lanes, in_process):
        monkeypatch.setattr(module, "LOOK_S", 0.005)


def after(rows: int, act: Callable[[], object]) -> Callable[[Progress], None]:
    """Watches until there are rows, then acts once."""
    left = [act]

    def watch(progress: Progress) -> None:
        if progress.done >= rows and left:
            left.pop()()

    return watch


def exact(house: House, spec: dict[str, Any], run: Run) -> bool:
    """Each planned cell has one row, and nothing else has."""
    ids = [row["cell_id"] for row in run.table(["cell_id"]).to_pylist()]
    return sorted(ids) == sorted(cell.id for cell in house.plan(spec).cells())


def test_a_run_ends_whole_with_scores_and_costs(tmp_path: Path) -> None:
    house = House(tmp_path)
    prices = {"m": {"prompt": 1_000_000.0, "completion": 2_000_000.0}}
    outcome = house.run({**SPEC, "greedy_anchor": True, "prices": prices})
    run = outcome.run
    assert (outcome.total, outcome.ran, outcome.failed, outcome.ended, outcome.unscored) == (22, 22, 0, None, None)
    assert run.standing().status == COMPLETED
    rows = run.table().to_pylist()
    assert sum(row["greedy"] for row in rows) == 2
    assert all(row["scores"] and row["score_versions"] and row["features"] for row in rows)
    assert all(row["cost"] == row["prompt_tokens"] + 2 * row["completion_tokens"] for row in rows)
    assert len(run.files()) == 1
    run.remove()
    assert not list((tmp_path / "sweeps").iterdir())


def test_a_spec_with_other_scorers_scores_a_whole_run_anew_and_asks_nothing(tmp_path: Path) -> None:
    """The cells are the same, so it is the same run: its new scorers, weights or judge were ignored."""
    house = House(tmp_path)
    first = house.run({**SPEC, "scorers": ["completeness"]})
    asked = len(house.asked)
    assert (first.rescored, scored_with(first.run)) == (False, {"completeness"})
    other = {**SPEC, "scorers": ["completeness", "overall"], "weights": {"completeness": 1}}
    again = house.run(other)
    assert (again.rescored, scored_with(again.run), len(house.asked)) == (True, {"completeness", "overall"}, asked)
    parts = again.run.files()
    assert (house.run(other).rescored, again.run.files()) == (False, parts)  # with the same nothing is touched


def test_a_run_killed_before_its_new_scores_gets_them_the_next_time(tmp_path: Path) -> None:
    house = House(tmp_path)
    run = house.run({**SPEC, "scorers": ["completeness"]}).run
    other = {**SPEC, "scorers": ["completeness", "overall"]}
    run.begin(read_spec(other).canonical(), run.manifest())  # so far it came
    assert house.run(other).rescored
    assert scored_with(run) == {"completeness", "overall"}


def scored_with(run: Run) -> set[str]:
    """The scores that any row has."""
    return {name for row in run.table(["scores"]).to_pylist() for name in json.loads(row["scores"])}


def test_a_paused_run_keeps_its_cells_in_flight_and_goes_on(tmp_path: Path) -> None:
    house = House(tmp_path, token_delay_s=0.02)
    run = Run(tmp_path, house.plan(SPEC).run_id)
    first = house.run(SPEC, after(4, lambda: run.state.ask(PAUSED)), in_flight=2, block_cells=1)
    assert first.ended is not None
    assert run.standing().status == PAUSED
    stored = set(run.stored())
    assert 4 <= len(stored) < 20
    assert len(stored) == len(house.asked)  # none was dropped
    assert house.run(SPEC).ended is None
    assert len(house.asked) == 20  # none ran twice
    assert exact(house, SPEC, run)


def test_small_parts_of_many_blocks_become_few(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each block left up to twice as many as are gathered at once: thousands of files with several workers."""
    monkeypatch.setattr(session, "MANY", 4)
    left: list[int] = []

    def blocks_of_three(
        task: WorkerTask, ordinals: Sequence[int], settings: SweepSettings, watch: Callable[[], None]
    ) -> None:
        for block, begin in enumerate(range(0, len(ordinals), 3)):
            some = list(ordinals[begin : begin + 3])
            asyncio.run(runs_one(task, block, some))
            watch()
        left.append(len(Run(tmp_path, task.run_id).files()))

    house = House(tmp_path)

    async def runs_one(task: WorkerTask, block: int, ordinals: list[int]) -> None:
        await BlockRunner(task, await house._connect()).run(block, ordinals)

    monkeypatch.setattr(driving, "executing_here", lambda _: blocks_of_three)
    outcome = house.run(SPEC, block_cells=1)
    assert exact(house, SPEC, outcome.run)
    assert left[0] <= 12 < outcome.total


def test_a_cancelled_run_drops_its_cells_in_flight(tmp_path: Path) -> None:
    house = House(tmp_path, token_delay_s=0.02)
    run = Run(tmp_path, house.plan(SPEC).run_id)
    outcome = house.run(SPEC, after(2, lambda: run.state.ask(CANCELLED)), in_flight=2, block_cells=1)
    assert outcome.ended is not None
    assert run.standing().status == CANCELLED
    house.run(SPEC)
    assert exact(house, SPEC, run)


def test_a_budget_stops_a_run_and_a_larger_one_goes_on(tmp_path: Path) -> None:
    house = House(tmp_path, token_delay_s=0.02)
    small = {**SPEC, "budget": {"max_tokens_total": 20}}
    outcome = house.run(small, in_flight=1, block_cells=1)
    assert outcome.ended is not None
    assert (outcome.ended.status, outcome.ended.reason) == (STOPPED, "its budget of 20 tokens is spent")
    asked = len(house.asked)
    assert 0 < asked < 20
    assert house.run(small).ended is not None  # at once: it is spent
    assert len(house.asked) == asked
    run = house.run({**SPEC, "budget": {"max_tokens_total": 10_000}}).run
    assert exact(house, SPEC, run)
    assert run.state.read() is not None
    assert run.standing().status == COMPLETED


def test_a_damaged_part_is_named_and_only_its_cells_run_again(tmp_path: Path) -> None:
    house = House(tmp_path)
    run = house.run(SPEC).run
    with run.held() as session:
        rows = run.table().to_pylist()
        whole = run.files()[0]
        for at in (0, 10):
            run.write(rows[at : at + 10], session=session, block=at)
        whole.unlink()
    broken = run.files()[1]
    content = bytearray(broken.read_bytes())
    content[60] ^= 0xFF
    broken.write_bytes(content)
    with pytest.raises(HeliostatError, match=broken.name):
        run.table()
    house.asked.clear()
    outcome = house.run(SPEC)
    assert list(outcome.set_aside) == [broken.name]
    assert (run.damaged / broken.name).exists()
    assert len(house.asked) == 10
    assert exact(house, SPEC, run)


def test_a_full_disk_is_told_and_loses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    house = House(tmp_path)
    run = Run(tmp_path, house.plan(SPEC).run_id)
    writes = []
    sync = runs.os.fsync

    def full(descriptor: int) -> None:
        name = Path(f"/proc/self/fd/{descriptor}").readlink().name
        if name.endswith(".tmp") and len(writes) >= 2 and "-0000" in name:
            raise OSError(errno.ENOSPC, "No space left on device")
        writes.extend([name] if "-0000" in name else [])
        sync(descriptor)

    monkeypatch.setattr(runs.os, "fsync", full)
    with pytest.raises(DiskFull, match="no room"):
        house.run(SPEC, in_flight=1, block_cells=2)
    assert run.standing().status == FAILED
    assert len(run.stored()) == 4
    assert not list(run.parts.glob("*.tmp"))
    monkeypatch.undo()
    house.run(SPEC)
    assert exact(house, SPEC, run)


def test_a_model_that_fails_for_half_its_cells_leaves_rows_that_say_so(tmp_path: Path) -> None:
    calls = [0]

    def every_second(_: str) -> HeliostatError | None:
        calls[0] += 1
        return EngineFailure("broken") if calls[0] % 2 else None

    house = House(tmp_path, failures=every_second)
    outcome = house.run(SPEC)
    assert (outcome.failed, outcome.ended) == (10, None)
    assert house.run(SPEC).ran == 0
    house = House(tmp_path)
    again = house.run(SPEC, retry=True)
    assert (again.ran, again.failed) == (10, 0)
    assert exact(house, SPEC, again.run)


def test_the_slowest_model_holds_up_no_other(tmp_path: Path) -> None:
    """With lanes of one queue, the cells of the slow model would fill all of them."""
    spec = {**SPEC, "models": ["slow", "fast"], "prompts": [f"prompt {n}" for n in range(6)], "repeats": 1}
    order: list[str] = []

    def noted(model: str) -> None:
        order.append(model)

    house = House(tmp_path, failures=noted, token_delay_s=0.0)
    house.run(spec, in_flight=2)
    assert set(order[:4]) == {"slow", "fast"}
    assert order[:4].count("slow") == order[:4].count("fast") == 2


def test_a_spec_that_grew_asks_only_for_what_is_new(tmp_path: Path) -> None:
    House(tmp_path, failures=iter_failures(2)).run(SPEC)
    house = House(tmp_path)
    larger = {
        **SPEC,
        "prompts": ["six", *SPEC["prompts"]],
        "parameters": {"temperature": [0.9, 0.1], "max_tokens": 8},
    }
    outcome = house.run(larger)
    assert (outcome.taken_over, outcome.ran, outcome.failed) == (18, 12, 0)
    assert len(house.asked) == 12
    assert exact(house, larger, outcome.run)
    rows = outcome.run.table().to_pylist()
    assert [row["ordinal"] for row in rows] == list(range(30))
    assert {row["run_id"] for row in rows} == {outcome.run.id}
    assert all(row["scores"] for row in rows)


def iter_failures(count: int) -> Callable[[str], HeliostatError | None]:
    """The first calls fail."""
    left = [EngineFailure("broken")] * count
    return lambda _: left.pop() if left else None


@pytest.mark.parametrize("status", [PAUSED, CANCELLED])
def test_a_sweep_that_is_asked_to_stop_while_it_begins_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, status: str
) -> None:
    """It took its parts in first, then dropped every wish: of a large run that is seconds after it is `running`."""
    house, begin = House(tmp_path), Run.set_aside

    def asked(run: Run) -> list[str]:
        assert run.running
        run.state.ask(status)
        return begin(run)

    with monkeypatch.context() as patched:
        patched.setattr(Run, "set_aside", asked)
        stopped = house.run(SPEC)
    assert stopped.ended is not None
    assert (stopped.ended.status, stopped.ran, house.asked) == (status, 0, [])
    stopped.run.state.ask(status)  # of nobody: whoever goes on drops it
    assert house.run(SPEC).ended is None
