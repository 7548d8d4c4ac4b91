import os
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cluster.errors import Conflict, ExperimentNotFound
from cluster.stores import runs
from cluster.stores.runs import Manifest, Run, Superseded, find, ids_in, rows_of, schema

START = datetime(2026, 1, 1, tzinfo=UTC)
IDS = ("aaaaaaaaaaaa", "abbbbbbbbbbb")


def row(number: int, *, later: int = 0, error: str | None = None, text: str = "hi") -> dict[str, Any]:
    return {
        "run_id": IDS[0],
        "cell_id": f"c{number}",
        "ordinal": number,
        "model": "m",
        "prompt_id": "p1",
        "prompt_hash": "h",
        "prompt": "say hi",
        "temperature": 0.5,
        "parameters": "{}",
        "repeat": 1,
        "text": None if error else text,
        "started": START + timedelta(seconds=later),
        "attempts": 1,
        "error_code": error,
    }


def manifest(run_id: str = IDS[0], created: float = 1.0) -> Manifest:
    return Manifest(run_id=run_id, name="n", total=4, models={"m": {"revision": "r"}}, created=created)


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return Run(tmp_path, IDS[0])


def test_what_is_written_is_read_in_the_plans_order(run: Run) -> None:
    with run.held() as session:
        run.write([row(2), row(0)], session=session, block=0)
        run.write([row(1)], session=session, block=1)
    table = run.table()
    assert table.column("ordinal").to_pylist() == [0, 1, 2]
    assert table.schema.equals(schema().empty_table().schema)


def test_a_part_is_whole_or_not_there_when_the_write_is_killed(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    with run.held() as session:
        run.write([row(0)], session=session, block=0)

        def killed(*_: Any) -> None:
            raise KeyboardInterrupt

        monkeypatch.setattr(os, "fsync", killed)
        with pytest.raises(KeyboardInterrupt):
            run.write([row(1)], session=session, block=0)
        assert list(run.parts.glob("*.tmp"))
        assert run.table(["cell_id"]).num_rows == 1
        assert duckdb.sql(f"SELECT count(text) FROM '{run.parts}/*.parquet'").fetchall() == [(1,)]
    monkeypatch.undo()
    with run.held():
        assert not list(run.parts.glob("*.tmp"))


def test_a_cell_has_one_row_a_success_before_a_failure_then_the_newest(run: Run) -> None:
    with run.held() as session:
        run.write([row(0, error="engine_error"), row(1, text="ok"), row(2, error="old")], session=session, block=0)
        run.write(
            [row(0, later=5), row(1, later=9, error="late"), row(2, later=3, error="new")], session=session, block=1
        )
    table = run.table(["cell_id", "text", "error_code"])
    assert table.to_pylist() == [
        {"cell_id": "c0", "text": "hi", "error_code": None},
        {"cell_id": "c1", "text": "ok", "error_code": None},
        {"cell_id": "c2", "text": None, "error_code": "new"},
    ]
    assert run.stored() == {"c0": True, "c1": True, "c2": False}


def test_compacting_leaves_one_part_with_one_row_a_cell(run: Run) -> None:
    with run.held() as session:
        run.write([row(0, error="x"), row(1)], session=session, block=0)
        run.write([row(0, later=1)], session=session, block=0)
        before = run.table()
        assert run.compact(session) == 2
        assert len(run.files()) == 1
        assert pq.read_table(run.files()[0]).num_rows == 2
        assert run.table().equals(before)
        assert run.compact(session) == 2


def test_a_compaction_killed_half_way_changes_nothing_that_is_read(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    with run.held() as session:
        for number in range(4):
            run.write([row(number)], session=session, block=0)
        before = run.table()
        removed: list[Path] = []

        def unlink(self: Path, missing_ok: bool = False) -> None:
            if len(removed) == 2:
                raise KeyboardInterrupt
            removed.append(self)
            self.rename(self.with_suffix(".gone"))

        with monkeypatch.context() as patch:
            patch.setattr(Path, "unlink", unlink)
            with pytest.raises(KeyboardInterrupt):
                run.compact(session)
        assert run.table().equals(before)
        assert run.compact(session) == 4
        assert run.table().equals(before)


def test_a_second_driver_is_refused_while_the_first_holds_the_run(run: Run) -> None:
    with run.held():
        with pytest.raises(Conflict, match=str(os.getpid())), run.held():
            pass
        with pytest.raises(Conflict), run.held():
            pass
    with run.held():
        pass


def test_a_worker_of_a_driver_that_is_gone_writes_nothing_more(run: Run) -> None:
    with run.held() as old:
        run.write([row(0)], session=old, block=0)
    with run.held() as new:
        with pytest.raises(Superseded):
            run.write([row(1)], session=old, block=0)
        run.write([row(1, text="new")], session=new, block=0)
    assert [entry["text"] for entry in run.table(["text"]).to_pylist()] == ["hi", "new"]
    assert not list(run.parts.glob("*.tmp"))


def test_what_a_block_stored_is_known_to_the_next_worker(run: Run) -> None:
    with run.held() as session:
        run.write([row(0), row(1)], session=session, block=3)
        run.write([row(2)], session=session, block=4)
        assert ids_in(run.files_of(session, 3)) == {"c0", "c1"}
        assert ids_in(run.files_of(session, 5)) == set()


def test_runs_are_found_by_the_beginning_of_their_id(tmp_path: Path) -> None:
    for place, run_id in enumerate(IDS):
        run = Run(tmp_path, run_id)
        with run.held():
            run.begin("{}", manifest(run_id, created=place))
    assert [run.id for run in runs.runs(tmp_path)] == list(reversed(IDS))
    assert find(tmp_path, "aa").id == IDS[0]
    for prefix in ("a", "zz", "", "../x"):
        with pytest.raises(ExperimentNotFound):
            find(tmp_path, prefix)


def test_a_manifest_is_written_once(run: Run) -> None:
    with run.held():
        run.begin("{}", manifest(created=1))
        run.begin("{}", manifest(created=2))
    assert run.manifest().created == 1


def test_a_run_without_parts_is_an_empty_table(run: Run) -> None:
    assert run.table().num_rows == 0
    assert run.table(["text"]).schema.names == ["text"]


def test_an_archived_run_can_still_be_read(tmp_path: Path, run: Run) -> None:
    with run.held() as session:
        run.begin("{}", manifest())
        run.write([row(0)], session=session, block=0)
        name = run.archive()
    assert name == f"{IDS[0]}-1"
    assert find(tmp_path, name).table().num_rows == 1
    assert run.stored() == {}


def test_a_home_whose_path_looks_like_a_pattern_is_read_as_it_is(tmp_path: Path) -> None:
    run = Run(tmp_path / "it's [a] *home", IDS[0])
    with run.held() as session:
        run.write([row(0)], session=session, block=0)
    assert run.table().num_rows == 1


def test_a_part_of_an_older_version_reads_as_null_where_it_had_no_column(run: Run) -> None:
    with run.held() as session:
        part = run.write([row(0), row(1)], session=session, block=0)
        run.write([row(2)], session=session, block=1)
        old = pq.read_table(part).drop_columns(["config_id", "greedy", "scores", "engine_version"])
        pq.write_table(old, part)
        read = run.table(["ordinal", "greedy", "scores"])
        assert read.to_pylist() == [{"ordinal": n, "greedy": None, "scores": None} for n in range(3)]
        assert run.compact(session) == 3
    assert run.table().schema.names == schema().names


def test_rows_are_prepared_prompt_by_prompt_and_all_of_a_prompt_together(run: Run) -> None:
    seen = []

    def prepare(rows: pa.Table) -> pa.Table:
        seen.append([(one["prompt_id"], one["ordinal"]) for one in rows.to_pylist()])
        return rows

    with run.held() as session:
        for number in (3, 0, 2, 1):
            run.write([{**row(number), "prompt_id": f"p{number // 2}"}], session=session, block=0)
        assert run.compact(session, prepare) == 4
    assert seen == [[("p0", 0), ("p0", 1)], [("p1", 2), ("p1", 3)]]


def test_many_parts_become_one_without_gathering_the_gathered_again(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runs, "MANY", 4)
    gathered: list[int] = []

    def gather(files: Sequence[Path], **told: Any) -> Path:
        part = Run.gather(run, files, **told)
        gathered.append(rows_of(part))
        return part

    monkeypatch.setattr(run, "gather", gather)
    with run.held() as session:
        for number in range(60):
            run.write([row(number)], session=session, block=number)
        assert run.compact(session) == 60
    assert max(gathered) <= 32  # by name it would be 58: what was gathered before comes first there
    assert [one["ordinal"] for one in run.table(["ordinal"]).to_pylist()] == list(range(60))


def test_a_driver_that_died_leaves_an_interrupted_run(run: Run) -> None:
    with run.held():
        run.state.note("running")
        assert run.standing().status == "running"
    assert run.standing().status == "interrupted"
    run.state.note("paused", "for a while")
    assert (run.standing().status, run.standing().reason) == ("paused", "for a while")
    (run.folder / "state.json").write_text("{broken")
    assert run.standing().status == "interrupted"


def test_a_wish_to_stop_is_heard_until_it_is_taken_back(run: Run) -> None:
    with run.held():
        assert run.state.asked() is None
        run.state.ask("paused")
        wish = run.state.asked()
        assert wish is not None
        assert wish.status == "paused"
        run.state.clear()
        assert run.state.asked() is None


def test_a_run_that_is_held_is_not_removed(run: Run) -> None:
    with run.held(), pytest.raises(Conflict, match="running already"):
        Run(run.folder.parent.parent, run.id).remove()
    assert run.folder.exists()


def test_many_parts_become_few_before_a_reader_has_to_open_all(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runs, "MANY", 3)
    opened: list[int] = []
    reading = runs.distinct

    def noted(files: list[Path], columns: Any) -> pa.Table:
        opened.append(len(files))
        return reading(files, columns)

    with run.held() as session:
        for number in range(8):
            run.write([row(number), row(number, later=1, text="again")], session=session, block=0)
        monkeypatch.setattr(runs, "distinct", noted)
        assert run.compact(session) == 8
        assert max(opened) <= 3
    assert len(run.files()) == 1
    assert run.table(["ordinal", "text"]).to_pylist() == [{"ordinal": n, "text": "again"} for n in range(8)]
