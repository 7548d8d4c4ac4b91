"""Stored sweeps that were damaged, ids that mean several, disks that are full: one line and a stable code."""

import errno
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from cluster.errors import DamagedRun, DiskFull
from cluster.stores.draft import Draft
from cluster.stores.run_disk import room_for
from cluster.stores.runs import Run, runs
from pipelines.analysis.exports import formats
from tests.unit.sweeps.driving import House
from tests.unit.sweeps.test_command import sweep
from tests.unit.sweeps.test_spec import BATCH

BROKEN = (b"", b"\xff\xfe{{{", b"[1]")


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> tuple[Run, Run]:
    """Two runs, made once; each test has copies."""
    house = House(tmp_path_factory.mktemp("stored"))
    return tuple(  # type: ignore[return-value]
        house.run({**BATCH, "name": name, "prompt": name, "parameter_ranges": {}}).run for name in ("one", "two")
    )


@pytest.fixture
def pair(stored: tuple[Run, Run], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Run, Run]:
    """The run that is damaged, and one that stays whole."""
    monkeypatch.setenv("HELIOSTAT_HOME", str(tmp_path))
    shutil.copytree(stored[0].folder.parent, tmp_path / "sweeps")
    return Run(tmp_path, stored[0].id), Run(tmp_path, stored[1].id)


def error(capsys: pytest.CaptureFixture[str]) -> str:
    """The one line on stderr."""
    [line] = capsys.readouterr().err.splitlines()
    return line


@pytest.mark.parametrize("content", BROKEN)
def test_a_damaged_manifest_hides_no_other_run(
    pair: tuple[Run, Run], capsys: pytest.CaptureFixture[str], content: bytes
) -> None:
    """One broken file had made `ls`, `plan` and every id of the home fail."""
    broken, whole = pair
    (broken.folder / "manifest.json").write_bytes(content)
    assert [run.id for run in runs(broken.folder.parents[1])] == [whole.id, broken.id]
    assert sweep("ls", "--json") == 0
    rows = {row["id"]: row for row in json.loads(capsys.readouterr().out)}
    assert (rows[whole.id]["status"], rows[broken.id]["status"]) == ("completed", "damaged")
    assert rows[broken.id]["done"] is None
    assert sweep("ls") == 0
    assert sweep("show", whole.id) == 0
    capsys.readouterr()
    for command in ("show", "watch", "report", "resume"):
        assert sweep(command, broken.id) == 1
        assert "manifest.json is damaged" in (line := error(capsys))
        assert line.endswith("[damaged_run]")
    assert sweep("rm", broken.id, "--yes") == 0


@pytest.mark.parametrize("content", [*BROKEN, None])
def test_a_damaged_spec_is_named_and_written_anew_by_its_next_run(
    pair: tuple[Run, Run], capsys: pytest.CaptureFixture[str], content: bytes | None
) -> None:
    """It had been a traceback of the JSON reader."""
    broken, _ = pair
    spec, file = broken.spec(), broken.folder / "spec.json"
    file.unlink()
    if content is not None:
        file.write_bytes(content)
    for words in (["report", broken.id], ["resume", broken.id], ["rescore", broken.id, "--no-embedder"]):
        assert sweep(*words) == 1
        assert "spec.json is damaged or gone" in (line := error(capsys))
        assert line.endswith("[damaged_run]")
    assert sweep("show", broken.id) == 0  # its rows are whole
    broken.begin(spec, broken.manifest())
    assert broken.spec() == spec


def test_scores_of_a_damaged_part_name_it(pair: tuple[Run, Run], capsys: pytest.CaptureFixture[str]) -> None:
    broken, _ = pair
    [part] = broken.files()
    part.write_bytes(b"PAR1")
    assert sweep("rescore", broken.id, "--no-embedder") == 1
    assert f"parts/{part.name} is damaged" in error(capsys)
    with pytest.raises(DamagedRun):
        broken.table()


def test_a_run_that_was_damaged_gives_no_cells_to_another(pair: tuple[Run, Run]) -> None:
    broken, _ = pair
    (broken.folder / "manifest.json").write_bytes(b"")
    grown = House(broken.folder.parents[1]).run({**BATCH, "prompt": "three", "parameter_ranges": {}})
    assert grown.failed == 0


def test_the_beginning_of_several_ids_names_them(
    pair: tuple[Run, Run], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    one, _ = pair
    twin = one.id[:4] + ("0" * 8 if one.id[4:] != "0" * 8 else "1" * 8)
    shutil.copytree(one.folder, tmp_path / "sweeps" / twin)
    for words in (
        ["show"],
        ["watch"],
        ["pause"],
        ["resume"],
        ["report"],
        ["rescore"],
        ["promote"],
        ["rm", "--yes"],
    ):
        assert sweep(words[0], one.id[:4], *words[1:]) == 1
        assert "is the beginning of several sweeps" in (line := error(capsys))
        assert line.endswith("[experiment_not_found]")
    assert (tmp_path / "sweeps" / twin).exists()


@pytest.mark.parametrize("words", [["../../etc"], ["*"], [""], ["a/b"]])
def test_what_is_no_id_finds_nothing(
    pair: tuple[Run, Run], capsys: pytest.CaptureFixture[str], words: list[str]
) -> None:
    assert sweep("rm", *words, "--yes") == 1
    assert error(capsys).endswith("[experiment_not_found]")
    assert all(run.folder.exists() for run in pair)


def test_an_export_to_a_full_disk_says_so(
    pair: tuple[Run, Run], capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(formats, "_content", full)
    assert sweep("export", pair[0].id, str(tmp_path / "cells.csv")) == 1
    assert "no room for" in (line := error(capsys))
    assert line.endswith("[disk_full]")
    assert list(tmp_path.glob("*cells.csv*")) == []


def test_a_run_in_progress_is_not_scored_removed_or_promoted(
    pair: tuple[Run, Run], capsys: pytest.CaptureFixture[str]
) -> None:
    run, _ = pair
    with run.held():
        for words in (["rescore", "--no-embedder"], ["rm", "--yes"], ["promote", "--yes"]):
            assert sweep(words[0], run.id, *words[1:]) == 1
            assert error(capsys).endswith("[conflict]")
        assert sweep("show", run.id) == 0


@pytest.mark.parametrize(
    "change",
    [{"created": "now"}, {"created": 1e300}, {"models": None}, {"models": {"m": 1}}, {"total": None}, {"name": 3}],
)
def test_a_manifest_of_other_types_is_damaged_and_hides_no_other_run(
    pair: tuple[Run, Run], capsys: pytest.CaptureFixture[str], change: dict[str, Any]
) -> None:
    """It was JSON with all keys, so it was believed, and `ls` ended with a traceback."""
    broken, whole = pair
    file = broken.folder / "manifest.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **change}))
    assert sweep("ls", "--json") == 0
    rows = {row["id"]: row["status"] for row in json.loads(capsys.readouterr().out)}
    assert rows == {whole.id: "completed", broken.id: "damaged"}
    assert sweep("show", broken.id) == 1
    assert error(capsys).endswith("[damaged_run]")


@pytest.mark.parametrize("content", ["{}", '{"prompts": 3, "seeds": true}', '{"prompts": [1], "seeds": true}'])
def test_a_run_whose_spec_is_none_gives_no_cells_and_stops_no_other(pair: tuple[Run, Run], content: str) -> None:
    """A new sweep ended with a KeyError, for what another one's file lacks."""
    broken, _ = pair
    (broken.folder / "spec.json").write_text(content)
    grown = House(broken.folder.parents[1]).run({**BATCH, "prompt": "three", "parameter_ranges": {}})
    assert (grown.failed, grown.taken_over) == (0, 0)


@pytest.mark.parametrize("content", ['{"status": 5}', '{"status": "completed", "reason": {"a": 1}}', "[1]", ""])
def test_a_state_that_is_none_hides_no_run(
    pair: tuple[Run, Run], capsys: pytest.CaptureFixture[str], content: str
) -> None:
    """A status that was no text ended the table of all runs with a traceback."""
    run, _ = pair
    for name in ("state.json", "stop.json"):
        (run.folder / name).write_text(content)
    assert (run.state.read(), run.state.asked()) == (None, None)
    for words in (["ls"], ["ls", "--json"], ["show", run.id]):
        assert sweep(*words) == 0
        assert run.id in capsys.readouterr().out


def _full(*_: Any, **__: Any) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


def test_a_disk_that_fills_up_ends_a_run_with_its_code(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The driver noted how the run ended, had no room for that either, and said so instead."""
    house = House(tmp_path)

    def fill(_: Any) -> None:
        monkeypatch.setattr(Draft, "publish", _full)
        monkeypatch.setattr(Run, "_put", _full_put)

    def _full_put(run: Run, *_: Any, **__: Any) -> None:
        with room_for(run.id):
            _full()

    with pytest.raises(DiskFull):
        house.run({**BATCH, "parameter_ranges": {"temperature": [0.1, 0.2, 0.3]}}, fill, in_flight=1, block_cells=1)


def test_on_a_full_disk_a_run_is_not_begun_and_can_be_removed(
    pair: tuple[Run, Run], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """To remove a run took a file of its own: there was no way to make room."""
    run, _ = pair
    monkeypatch.setattr(Draft, "publish", _full)
    with pytest.raises(DiskFull), run.held():
        pass
    assert sweep("rescore", run.id, "--no-embedder") == 1
    assert error(capsys).endswith("[disk_full]")
    assert sweep("rm", run.id, "--yes") == 0
    assert not run.folder.exists()


def test_a_name_gives_a_terminal_no_orders(pair: tuple[Run, Run], capsys: pytest.CaptureFixture[str]) -> None:
    """A batch is named over the API, and listed on the terminal of whoever runs the cluster."""
    run, _ = pair
    file = run.folder / "manifest.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "name": "a\x1b]0;gone\x07b\u202ec\x9b2J"}))
    for words in (["ls"], ["show", run.id], ["report", run.id], ["compare", run.id, run.id]):
        assert sweep(*words) == 0
        printed = capsys.readouterr().out
        assert "\\x1b]0;gone" in printed
        assert not {"\x1b", "\x07", "\x9b", "\u202e"} & set(printed)
