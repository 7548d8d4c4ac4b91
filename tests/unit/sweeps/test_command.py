"""The command line where it needs no cluster."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from cluster.console.terminal import run
from cluster.errors import EngineFailure
from cluster.stores.runs import Manifest, Run
from pipelines.sweeps.command import app
from tests.unit.sweeps.driving import House
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


def test_a_plan_names_the_cuts_and_refuses_what_the_config_makes_impossible(
    capsys: pytest.CaptureFixture[str], home: Path
) -> None:
    file = spec_file(home, retrieval={"chunk_tokens": [16, 64]})
    assert sweep("plan", file) == 0
    assert "unless they are stored so: 16 tokens, 64 tokens" in capsys.readouterr().out
    config = str(SHIPPED.parents[1] / "demo.yaml")
    for words in (("plan", file), ("run", file, "--dry-run")):
        assert sweep(*words, "--config", config) == 2
        assert "retrieval.chunk_overlap: 16 is not below chunks of 16 tokens" in capsys.readouterr().err


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


def test_a_plan_tells_what_a_sweep_takes(capsys: pytest.CaptureFixture[str], home: Path) -> None:
    assert sweep("plan", str(SHIPPED)) == 0
    assert "detectable: " in capsys.readouterr().out
    assert sweep("plan", str(SHIPPED), "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["cells"], told["answer_tokens"], told["cost_usd"]) == (24, 1152, None)
    assert not (home / "sweeps").exists()


def test_a_stored_sweep_is_scored_again_and_removed(capsys: pytest.CaptureFixture[str], home: Path) -> None:
    run = House(home).run({**BATCH, "parameter_ranges": {}}).run
    for command in ("pause", "cancel"):
        assert sweep(command, run.id) == 1
        assert "it is completed" in capsys.readouterr().err
    before = run.table()
    assert sweep("rescore", run.id, "--no-embedder") == 0
    assert run.table().equals(before)
    assert sweep("rescore", run.id) == 1
    assert "--no-embedder" in capsys.readouterr().err
    assert sweep("rm", run.id[:6]) == 2  # nobody is there to ask
    assert "--yes" in capsys.readouterr().err
    assert sweep("rm", run.id[:6], "--yes") == 0
    assert sweep("show", run.id) == 1


def test_failed_cells_are_told_by_their_codes(capsys: pytest.CaptureFixture[str], home: Path) -> None:
    spec = {**BATCH, "parameter_ranges": {}, "response_count": 3}
    failed = House(home, failures=lambda _: EngineFailure("the engine coughed")).run(spec).run
    assert sweep("show", failed.id) == 0
    assert "3 × engine_error: the engine coughed" in capsys.readouterr().out


@pytest.mark.parametrize("command", ["show", "retry", "retry-failed", "resume", "pause", "cancel", "rm", "rescore"])
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
            "status": "interrupted",
            "reason": None,
            "total": 4,
            "done": 0,
            "errors": 0,
            "created": "1970-01-01T00:00:00Z",
        }
    ]


def test_values_that_differ_look_different_in_a_plan(capsys: pytest.CaptureFixture[str], home: Path) -> None:
    """Six digits were shown: a million tokens were 1e+06, and so was one more."""
    parameters = {
        "max_tokens": [999_999, 1_000_000],
        "temperature": [0.1234567, 0.1234568],
        "ignore_eos": [True, False],
    }
    assert sweep("plan", spec_file(home, parameters=parameters)) == 0
    printed = capsys.readouterr().out
    for line in ("max_tokens: 999999, 1000000", "temperature: 0.1234567, 0.1234568", "ignore_eos: true, false"):
        assert line in printed
