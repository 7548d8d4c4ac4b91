"""A few rows of a run, by their places in the plan."""

from pathlib import Path

import pyarrow.parquet as pq
import pytest

from cluster.errors import DamagedRun
from cluster.stores import run_cells, run_parts
from cluster.stores.run_cells import RunCells
from cluster.stores.runs import Run
from tests.unit.exports.sweep_rows import row

COLUMNS = ["ordinal", "text", "prompt", "scores"]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Parts out of order; cell 1 failed first, and cell 4 went well first and failed in a later try."""
    run = Run(tmp_path, "abcdefabcdef")
    with run.held() as session:
        run.write([row(4), row(1, error_code="engine_error", text=None), row(3)], session=session, block=0)
        run.write([row(2), row(0), row(1, text="again")], session=session, block=1)
        run.write([row(4, error_code="engine_error", text=None)], session=session, block=2)
    return run


def test_the_rows_are_those_of_the_whole_table(run: Run) -> None:
    cells, whole = RunCells.of(run.files()), run.table().select(COLUMNS).to_pylist()
    assert len(cells) == 5
    assert cells.take(range(5), COLUMNS).to_pylist() == whole
    assert cells.take([4, 0, 2], COLUMNS).to_pylist() == [whole[4], whole[0], whole[2]]
    assert cells.table(["ordinal", "text"]).column("text").to_pylist() == [one["text"] for one in whole]
    assert cells.take([], COLUMNS).num_rows == 0


def test_groups_and_batches_change_nothing(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = run.table().select(COLUMNS).to_pylist()
    monkeypatch.setattr(run_cells, "BATCH_BYTES", 1)
    for file in run.files():
        pq.write_table(pq.read_table(file), file, row_group_size=2)
    cells = RunCells.of(run.files())
    assert cells.take([3, 1, 4], COLUMNS).to_pylist() == [whole[3], whole[1], whole[4]]
    assert [begin for begin, _ in cells.stream(["text"])] == list(range(7))


def test_an_older_part_lacks_columns_that_are_null(run: Run) -> None:
    for file in run.files():
        pq.write_table(pq.read_table(file).drop_columns(["scores"]), file)
    assert RunCells.of(run.files()).take([0, 1], COLUMNS).column("scores").null_count == 2


def test_a_run_without_parts_has_no_cells(tmp_path: Path) -> None:
    cells = RunCells.of([])
    assert (len(cells), cells.take([], COLUMNS).num_rows, list(cells.stream(["text"]))) == (0, 0, [])


def test_a_part_that_went_is_told_and_one_that_is_damaged_is_named(run: Run) -> None:
    cells = RunCells.of(run.files())
    first, second, _ = run.files()
    content = first.read_bytes()
    first.write_bytes(content[:100])
    for read in (
        lambda: cells.take([3], COLUMNS),
        lambda: list(cells.stream(["text"])),
        lambda: cells.table(["text"]),
    ):
        with pytest.raises(DamagedRun, match=first.name):
            read()
    first.write_bytes(content)
    second.unlink()
    for read in (
        lambda: cells.take([0], COLUMNS),
        lambda: list(cells.stream(["text"])),
        lambda: cells.table(["text"]),
    ):
        with pytest.raises(FileNotFoundError):
            read()


def test_rows_are_written_in_groups(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cluster.stores.runs.GROUP", 2)
    with run.held() as session:
        part = run.gather(run.files(), session=session, block=3)
    assert pq.read_metadata(part).num_row_groups == 3
    assert run_parts.rows_of(part) == 5
