"""The command line where it needs no cluster."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from cluster.console.terminal import run
from cluster.stores.runs import Manifest, Run
from pipelines.sweeps.command import app
from tests.unit.sweeps.test_spec import BATCH, SPEC

SHIPPED = Path(__file__).parents[3] / "configs" / "sweeps" / "demo.yaml"


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HELIOSTAT_HOME", str(tmp_path))
    return tmp_path


def sweep(*words: str) -> int:
    with pytest.raises(SystemExit) as caught:
        run(app, list(words))
    code = caught.value.code
    return code if isinstance(code, int) else 0


def spec_file(folder: Path, **changes: Any) -> str:
    file = folder / "spec.yaml"
    file.write_text(yaml.safe_dump({**SPEC, **changes}))
    return str(file)


def test_a_dry_run_prints_the_plan_and_needs_no_cluster(capsys: pytest.CaptureFixture[str], home: Path) -> None:
    assert sweep("run", str(SHIPPED), "--dry-run") == 0
    printed = capsys.readouterr().out
    assert "24 cells" in printed
    assert "1,152 tokens at most" in printed
    assert not (home / "sweeps").exists()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"repeats": 0}, "[empty_plan]"),
        ({"repeats": 10_000_000}, "[plan_too_large]"),
        ({"nope": 1}, "spec.yaml: nope: unknown key"),
        ({"parameters": {"top_p": 0}}, "spec.yaml: parameters.top_p"),
    ],
)
def test_a_bad_spec_is_one_line_and_exit_code_2(
    capsys: pytest.CaptureFixture[str], home: Path, changes: dict[str, Any], said: str
) -> None:
    assert sweep("run", spec_file(home, **changes), "--dry-run") == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert said in lines[0]


def test_a_file_that_is_not_there_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert sweep("run", "missing.yaml") == 2
    assert "no such file" in capsys.readouterr().err


def test_a_sweep_without_a_cluster_says_how_to_get_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert sweep("run", str(SHIPPED), "--yes") == 1
    assert "heliostat up" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["show", "retry"])
def test_an_unknown_id_is_one_line_and_exit_code_1(capsys: pytest.CaptureFixture[str], command: str) -> None:
    assert sweep(command, "feedfeed") == 1
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_stored_sweeps_are_listed(capsys: pytest.CaptureFixture[str], home: Path) -> None:
    stored = Run(home, "0123456789ab")
    with stored.held():
        stored.begin(
            json.dumps(BATCH),
            Manifest(run_id=stored.id, name="n", total=4, models={"m": {"revision": "r"}}, created=0.0),
        )
    assert sweep("list", "--json") == 0
    assert json.loads(capsys.readouterr().out) == [
        {
            "id": "0123456789ab",
            "name": "n",
            "models": ["m"],
            "total": 4,
            "done": 0,
            "errors": 0,
            "created": "1970-01-01T00:00:00Z",
        }
    ]
