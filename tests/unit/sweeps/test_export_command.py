"""`heliostat sweep report`, `export` and `compare`."""

import hashlib
import json
from pathlib import Path

import pytest

from cluster.console.terminal import run
from cluster.stores.run_pairs import RunPairs
from cluster.stores.runs import Manifest, Run
from pipelines.sweeps.command import app
from tests.unit.exports.sweep_rows import duel, sweep
from tests.unit.stores.test_run_pairs import verdict

ID, OTHER, EMPTY = "abcdefabcdef", "bbbbbbbbbbbb", "eeeeeeeeeeee"


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("home")
    for run_id, rows in ((ID, sweep(6)), (OTHER, duel("spark-chat", "other")), (EMPTY, None)):
        kept = Run(home, run_id)
        with kept.held() as session:
            manifest = Manifest(run_id=run_id, name=f"name-{run_id[0]}", total=1, models={}, created=1.0)
            kept.begin("{}", manifest)
            if rows is not None:
                kept.write([one | {"run_id": run_id} for one in rows.to_pylist()], session=session, block=0)
    return home


@pytest.fixture(autouse=True)
def home(stored: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HELIOSTAT_HOME", str(stored))


def said(capsys: pytest.CaptureFixture[str], *words: str, code: int = 0) -> str:
    with pytest.raises(SystemExit) as caught:
        run(app, list(words))
    shown = capsys.readouterr()
    assert (caught.value.code or 0) == code, shown
    return shown.out + shown.err


def test_an_export_has_its_checksum_beside_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "x.csv"
    printed = said(capsys, "export", "abc", str(file))
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    assert "72 rows" in printed
    assert digest in printed
    assert (tmp_path / "x.csv.sha256").read_text() == f"{digest}  x.csv\n"


def test_fields_and_conditions_choose(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "x.jsonl"
    words = ("--fields", "ordinal, score_overall", "--where", "temperature=0.2", "--where", "ordinal<3")
    said(capsys, "export", "abc", str(file), *words)
    found = [json.loads(line) for line in file.read_text().splitlines()]
    assert [one["ordinal"] for one in found] == [0, 1, 2]
    assert [*found[0]] == ["ordinal", "score_overall"]


def test_the_format_may_be_named_apart_from_the_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said(capsys, "export", "abc", str(tmp_path / "cells"), "--format", "parquet")
    assert (tmp_path / "cells").read_bytes().startswith(b"PAR1")


@pytest.mark.parametrize(
    ("words", "wrong"),
    [
        (("x.csv", "--fields", "nope"), "no column 'nope'"),
        (("x.csv", "--where", "nope=1"), "no column 'nope'"),
        (("x.csv", "--where", "hot"), "no condition"),
        (("x.doc",), "none of csv"),
        (("x",), "no ending tells"),
        (("x.pdf", "--fields", "model"), "no columns or rows to choose"),
        (("missing/x.csv",), "cannot be written"),
        (("x.html", "--metric", "nope"), "nope"),
    ],
)
def test_what_cannot_be_exported_is_one_line_and_leaves_no_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], wrong: str
) -> None:
    printed = said(capsys, "export", "abc", str(tmp_path / words[0]), *words[1:], code=2)
    assert wrong in printed
    assert [*tmp_path.iterdir()] == []


def test_an_empty_run_is_exported_with_its_head(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "0 rows" in said(capsys, "export", "eee", str(tmp_path / "x.csv"))
    assert "nothing to report: no cell has gone well yet" in said(capsys, "report", "eee")


def test_a_report_on_the_terminal_names_the_best_and_how_sure_that_is(capsys: pytest.CaptureFixture[str]) -> None:
    printed = said(capsys, "report", "abc")
    assert "72 cells, 0 errors" in printed
    assert "temperature 1, top_p 1" in printed
    assert "95 % interval" in printed


def test_a_report_is_written_as_a_page(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said(capsys, "report", "bbb", "--html", str(tmp_path / "r.html"))
    assert "name-b" in (tmp_path / "r.html").read_text()
    assert (tmp_path / "r.html.sha256").exists()


def test_two_sweeps_are_compared(capsys: pytest.CaptureFixture[str]) -> None:
    found = json.loads(said(capsys, "compare", "abc", "bbb", "--json"))
    assert found["difference"]["prompts"] == 3
    assert "over the 1 configuration that both ran" in said(capsys, "compare", "abc", "bbb")


def test_what_judges_said_of_pairs_stands_under_a_comparison(
    stored: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pairs = RunPairs(Run(stored, OTHER))
    part = pairs.write([verdict("first")])
    try:
        found = json.loads(said(capsys, "compare", "abc", "bbb", "--json"))["preferences"]
        assert (found[ID], [one["judge"] for one in found[OTHER]]) == ([], ["echo"])
        printed = said(capsys, "compare", "abc", "bbb")
        assert "name-b [bbbbbbbbbbbb]:\n" in printed
        assert "name-a [abcdefabcdef]:\n" not in printed
    finally:
        part.unlink()


def test_a_sweep_that_there_is_not_is_said_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "No sweep" in said(capsys, "export", "fff", str(tmp_path / "x.csv"), code=1)


@pytest.mark.parametrize("words", [("export", ID, ".", "--format", "csv"), ("report", ID, "--html", "/")])
def test_a_folder_is_no_file_to_write(capsys: pytest.CaptureFixture[str], words: tuple[str, ...]) -> None:
    assert "is a folder" in said(capsys, *words, code=2)
