"""The rows of a run as a stream."""

from pathlib import Path

import pyarrow.parquet as pq
import pytest

from cluster.errors import ClusterError
from cluster.stores import run_snapshot
from cluster.stores.run_snapshot import Snapshot
from cluster.stores.runs import Run
from tests.unit.exports.sweep_rows import row


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Parts out of order; cell 1 failed first, and cell 4 went well first and failed in a later try."""
    run = Run(tmp_path, "abcdefabcdef")
    with run.held() as session:
        run.write([row(4), row(1, error_code="engine_error", text=None), row(3)], session=session, block=0)
        run.write([row(2), row(0), row(1, text="again")], session=session, block=1)
        run.write([row(4, error_code="engine_error", text=None)], session=session, block=2)
    return run


def test_a_stream_has_one_row_a_cell_in_the_plans_order(run: Run) -> None:
    found = list(Snapshot.take(run).batches(["ordinal", "text"], size=2))
    assert [batch.num_rows for batch in found] == [2, 2, 1]
    rows = [one for batch in found for one in batch.to_pylist()]
    assert [one["ordinal"] for one in rows] == [0, 1, 2, 3, 4]
    assert [one["text"] for one in rows] == ["hello 0", "again", "hello 2", "hello 3", "hello 4"]


def test_it_is_what_the_whole_table_shows(run: Run) -> None:
    assert Snapshot.take(run).table().to_pylist() == run.table().to_pylist()


def test_many_buckets_keep_the_order(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_snapshot, "BUCKET_ROWS", 2)
    assert Snapshot.take(run).table(["ordinal"]).column("ordinal").to_pylist() == [0, 1, 2, 3, 4]


def test_columns_need_not_name_the_ordinal(run: Run) -> None:
    assert Snapshot.take(run).table(["model"]).column_names == ["model"]


def test_an_older_part_lacks_columns_that_are_null(run: Run) -> None:
    for file in run.files():
        pq.write_table(pq.read_table(file).drop_columns(["scores", "config_id"]), file)
    found = Snapshot.take(run).table(["scores", "config_id", "ordinal"])
    assert found.column("scores").null_count == 5


def test_a_run_without_parts_has_no_rows(tmp_path: Path) -> None:
    assert Snapshot.take(Run(tmp_path, "abcdefabcdef")).table().num_rows == 0


def test_a_part_that_went_is_told_before_the_first_batch(run: Run) -> None:
    snapshot = Snapshot.take(run)
    run.files()[1].unlink()
    with pytest.raises(FileNotFoundError):
        next(snapshot.batches())


def test_a_damaged_part_is_named(run: Run) -> None:
    run.files()[1].write_bytes(b"PAR1 and nothing else")
    with pytest.raises(ClusterError, match="is damaged"):
        next(Snapshot.take(run).batches())


def test_rows_that_come_later_are_not_in_it(run: Run) -> None:
    snapshot = Snapshot.take(run)
    with run.held() as session:
        run.write([row(9)], session=session, block=0)
    assert snapshot.table(["ordinal"]).num_rows == 5


def test_one_part_is_open_at_a_time(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[pq.ParquetFile] = []

    def counted(file: Path) -> pq.ParquetFile:
        assert all(part.closed for part in opened)
        opened.append(open_(file))
        return opened[-1]

    open_ = run_snapshot._open
    monkeypatch.setattr(run_snapshot, "_open", counted)
    assert Snapshot.take(run).table().num_rows == 5
    assert len(opened) == 2 * len(run.files())


def test_one_part_in_the_plans_order_is_read_as_it_lies(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = run.table().to_pylist()
    with run.held() as session:
        run.compact(session)
    [file] = run.files()
    pq.write_table(pq.read_table(file), file, row_group_size=2)
    monkeypatch.setattr(Snapshot, "_buckets", None)
    assert Snapshot.take(run).table().to_pylist() == whole
    assert [batch.num_rows for batch in Snapshot.take(run).batches(["text"], size=5)] == [2, 2, 1]
    monkeypatch.setattr(run_snapshot, "BUCKET", 1)  # long rows: one at a time
    assert [batch.num_rows for batch in Snapshot.take(run).batches(["text"], size=5)] == [1] * 5
    pq.write_table(pq.read_table(file).drop_columns(["scores"]), file)
    assert Snapshot.take(run).table(["scores"]).column("scores").null_count == 5


def test_one_part_in_another_order_or_with_a_cell_twice_is_sorted(tmp_path: Path) -> None:
    run = Run(tmp_path, "abcdefabcdef")
    with run.held() as session:
        run.write([row(2), row(0, error_code="engine_error"), row(0), row(1)], session=session, block=0)
    found = Snapshot.take(run).table(["ordinal", "error_code"]).to_pylist()
    assert found == [{"ordinal": place, "error_code": None} for place in range(3)]
