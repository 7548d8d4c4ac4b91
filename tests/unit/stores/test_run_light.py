"""Light rows: a run without its texts, kept beside it."""

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from cluster.errors import DamagedRun
from cluster.stores import run_light
from cluster.stores.run_cells import RunCells
from cluster.stores.run_light import SCORES, LightParts, light_of, plain
from cluster.stores.runs import Run
from pipelines.analysis.frame import frame_of
from tests.unit.exports.sweep_rows import row


def rows(begin: int, count: int) -> list[dict[str, object]]:
    made = []
    for place in range(begin, begin + count):
        scores = {"overall": place % 7 + 0.1, "fluency": place % 5}
        if place % 3 == 0:
            scores = {"fluency": 0.5}
        made.append(row(place, scores=json.dumps(scores), prompt_id=f"p{place % 4}", prompt_hash=f"h{place % 4}"))
    return [*made[:-1], row(begin + count - 1, error_code="engine_error", text=None, scores=None)]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Two parts, out of order, of which the first is large enough for a file."""
    monkeypatch.setattr(run_light, "LARGE", 20)
    run = Run(tmp_path, "abcdefabcdef")
    with run.held() as session:
        run.write(rows(12, 24), session=session, block=0)
        run.write(rows(0, 12), session=session, block=1)
    return run


def files_of(run: Run) -> list[Path]:
    return sorted((run.folder / "light").glob("*"))


def test_statistics_of_light_rows_are_those_of_the_rows(run: Run) -> None:
    light, stored = frame_of(RunCells.of(run.files()).light), frame_of(run.table())
    for name in ("configurations", "prompts", "runs", "factors"):
        assert getattr(light, name) == getattr(stored, name)
    assert set(light.columns) == set(stored.columns)
    for name in stored.columns:
        np.testing.assert_array_equal(light.columns[name], stored.columns[name])
    for name in ("configuration", "prompt", "repeat", "started", "asked"):
        np.testing.assert_array_equal(getattr(light, name), getattr(stored, name))


def test_columns_are_those_of_the_whole_table(run: Run) -> None:
    cells, whole = RunCells.of(run.files()), run.table()
    names = [name for name in whole.column_names if name in cells.light.column_names]
    assert cells.table(names).to_pylist() == whole.select(names).to_pylist()
    assert len(names) > 20


def test_a_large_part_gets_a_file_from_its_first_reader(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    before = RunCells.of(run.files()).light
    [file] = files_of(run)
    assert file.stem == run.files()[0].stem

    def broken(*_: object) -> None:
        raise AssertionError("it was read again")

    monkeypatch.setattr(run_light, "light_of", broken)
    [large] = LightParts().tables(run.files()[:1])
    monkeypatch.undo()
    assert plain(large).to_pylist() == plain(light_of(run.table())).to_pylist()[12:]
    assert before.num_rows == 36


def test_a_file_comes_with_the_part_that_is_made_of_many(run: Run) -> None:
    with run.held() as session:
        run.gather(run.files(), session=session, block=2)
        [file], [part] = files_of(run), run.files()
        assert file.stem == part.stem
        run.write(rows(36, 24), session=session, block=3)
        run.compact(session)
    [file], [part] = files_of(run), run.files()  # that of the part that is gone went with it
    assert file.stem == part.stem


@pytest.mark.parametrize("harm", ["flipped", "cut", "empty", "of another part"])
def test_a_file_that_is_broken_or_of_another_part_is_not_believed(run: Run, harm: str) -> None:
    good = plain(RunCells.of(run.files()).light).to_pylist()
    [file] = files_of(run)
    content = bytearray(file.read_bytes())
    if harm == "flipped":
        content[len(content) // 2] ^= 1
    file.write_bytes({"cut": content[:-9], "empty": b""}.get(harm, bytes(content)))
    if harm == "of another part":
        part = run.files()[0]
        part.write_bytes(part.read_bytes()[:300])
        with pytest.raises(DamagedRun):
            RunCells.of(run.files())
        return
    assert plain(RunCells.of(run.files()).light).to_pylist() == good
    assert run_light._stored(run.files()[0], run_light._mark(run.files()[0])) is not None  # it was written anew


def test_without_a_place_for_files_all_is_read_from_the_parts(run: Run) -> None:
    (run.folder / "light").write_text("no folder")
    assert RunCells.of(run.files()).light.num_rows == 36
    with run.held() as session:
        run.compact(session)
    assert RunCells.of(run.files()).light.num_rows == 36


def test_no_more_stays_in_memory_than_was_said(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    parts = LightParts()
    first, second = parts.tables(run.files())
    assert parts.bytes == first.nbytes + second.nbytes
    small = LightParts(second.nbytes)
    for _ in range(2):
        assert [table.num_rows for table in small.tables(run.files())] == [24, 12]
        assert small.bytes <= second.nbytes

    def broken(*_: object) -> None:
        raise AssertionError("it was read again")

    monkeypatch.setattr(run_light, "every", broken)
    monkeypatch.setattr(run_light, "_stored", broken)
    assert parts.tables(run.files()) == [first, second]


def test_rows_without_scores_are_light_rows_too() -> None:
    light = light_of(pa.table({"cell_id": ["a"], "model": ["m"], "scores": pa.nulls(1, pa.string())}))
    assert [name for name in light.column_names if name.startswith(SCORES)] == []
    assert plain(light).to_pylist() == [{"cell_id": "a", "model": "m"}]
