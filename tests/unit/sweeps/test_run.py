from typing import Any

import pyarrow as pa
import pytest

from cluster.settings.pipelines import SweepSettings
from pipelines.sweeps.job import blocks
from pipelines.sweeps.plan import Plan
from pipelines.sweeps.session import pending
from pipelines.sweeps.spec import read_spec
from tests.unit.sweeps.test_spec import SPEC

PLAN = Plan(spec=read_spec({**SPEC, "repeats": 3}))
IDS = [cell.id for cell in PLAN.cells()]


def stored(good: int, failed: int = 0) -> dict[str, bool]:
    return {cell: place < good for place, cell in enumerate(IDS[: good + failed])}


@pytest.mark.parametrize("retry", [False, True])
def test_a_new_run_has_every_cell_before_it(retry: bool) -> None:
    assert list(pending(PLAN, {}, retry=retry)) == list(range(6))


def test_an_interrupted_run_goes_on_with_what_is_missing_or_failed() -> None:
    assert pending(PLAN, stored(2, failed=1), retry=False) == [2, 3, 4, 5]


def test_a_run_whose_cells_all_have_rows_has_nothing_left_but_for_retry() -> None:
    assert pending(PLAN, stored(4, failed=2), retry=False) == []
    assert pending(PLAN, stored(4, failed=2), retry=True) == [4, 5]
    assert pending(PLAN, stored(6), retry=True) == []


def test_cells_of_another_plan_count_for_nothing() -> None:
    assert pending(PLAN, {"other": True}, retry=False) == list(range(6))


@pytest.mark.parametrize(("count", "workers"), [(1, 1), (24, 1), (200, 3), (5000, 2), (100_000, 4)])
def test_blocks_hold_each_cell_once_in_order(count: int, workers: int) -> None:
    tables: list[Any] = blocks(range(count), SweepSettings(workers=workers))
    assert pa.concat_tables(tables).column("ordinal").to_pylist() == list(range(count))
    assert [table.column("block")[0].as_py() for table in tables] == list(range(len(tables)))
    assert len(tables) >= min(workers, count)
    assert len(tables) <= 10 * workers + 1
