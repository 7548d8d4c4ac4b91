"""`heliostat models`: what it prints, and with which code it ends."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from cluster.console import terminal
from deployments import models as command
from tests.unit.library import models
from tests.unit.library.hub_server import FakeHub, point_at, serving

Run = Callable[..., int]


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeHub]:
    with serving({"owner/model": models.files()}) as served:
        point_at(served.address, monkeypatch)
        yield served


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """The command as the console runs it, with a home and a cache of its own; returns its exit code."""
    monkeypatch.setenv("HELIOSTAT_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("HF_MODEL_PATH", str(tmp_path / "cache"))
    monkeypatch.setenv("HELIOSTAT__HUB__KEEP_FREE_GIB", "0")

    def run(*words: str) -> int:
        with pytest.raises(SystemExit) as ended:
            terminal.run(command.app, ["models", *words])
        return int(ended.value.code or 0)

    return run


def test_the_list_is_a_line_a_model(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("list") == 0
    head, *lines = capsys.readouterr().out.splitlines()
    assert head.split() == ["id", "task", "engine", "context", "size", "memory", "on", "disk"]
    moondream = next(line for line in lines if "moondream2" in line)
    assert moondream.split() == ["moondream2", "vision", "transformers", "2048", "4.0", "GiB", "no"]
    assert run("list", "--here", "--json") == 0
    assert {one["id"] for one in json.loads(capsys.readouterr().out)} == {
        "spark-chat",
        "spark-vision",
        "all-MiniLM-L6-v2",
    }


def test_a_pull_prints_how_far_it_is_and_then_the_folder(
    hub: FakeHub, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("pull", "owner/model") == 0
    shown = capsys.readouterr()
    assert (Path(shown.out.strip()) / "model.safetensors").is_file()
    lines = shown.err.splitlines()
    assert [line.split()[1].rstrip(",") for line in lines if line.startswith("downloading")] == [
        "config.json",
        "generation_config.json",
        "tokenizer.json",
        "model.safetensors",
    ]
    assert run("show", "owner/model") == 0
    shown = capsys.readouterr()
    assert "the headers of its safetensors files" in shown.out
    assert run("show", "owner/model", "--json") == 0
    entry = json.loads(capsys.readouterr().out)
    assert (entry["on_disk"], entry["loaded"], entry["task"]) == (True, False, "chat")


def test_a_program_reads_a_line_of_json_for_each_report(
    hub: FakeHub, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("pull", "owner/model", "--json") == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert lines[0]["status"] == "resolving"
    assert (lines[-1]["status"], lines[-1]["done"]) == ("done", lines[-1]["total"])


def test_a_program_reads_an_error_by_its_code(hub: FakeHub, run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("pull", "owner/nothing", "--json") == 1
    last = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (last["status"], last["code"], last["legacy_code"]) == ("error", "model_not_found", "HF_MODEL_NOT_FOUND")
    assert run("pull", "../x", "--json") == 2
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["code"] == "invalid_model_name"


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (("pull", "owner/nothing"), 1, "[model_not_found]"),
        (("pull", "owner/model@v9"), 1, "[model_revision_not_found]"),
        (("pull", "../../etc"), 2, "[invalid_model_name]"),
        (("show", "smolm2"), 1, "did you mean smollm2"),
        (("rm", "spark-chat"), 2, "comes with Heliostat"),
        (("rm", "smollm2"), 1, "is not on this machine"),
        (("rm", "nothing-like-it"), 1, "no model is called"),
        (("list", "--config", "nowhere.yaml"), 2, "no such file"),
    ],
)
def test_what_goes_wrong_is_one_line_and_a_code(
    hub: FakeHub, run: Run, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], code: int, says: str
) -> None:
    assert run(*words) == code
    [line] = capsys.readouterr().err.splitlines()[-1:]
    assert says in line


def test_ctrl_c_keeps_what_arrived(
    hub: FakeHub, run: Run, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from deployments.models_shown import PullBar

    def interrupted(bar: PullBar, progress: object) -> None:
        if getattr(progress, "file_done", 0):
            raise KeyboardInterrupt

    monkeypatch.setattr(PullBar, "show", interrupted)
    assert run("pull", "owner/model") == 130
    assert "are kept; the same command goes on from there" in capsys.readouterr().err
    monkeypatch.undo()


def test_removing_asks_and_says_what_it_frees(
    hub: FakeHub, run: Run, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    run("pull", "owner/model")
    assert run("rm", "owner/model") == 2
    assert "--yes" in capsys.readouterr().err
    monkeypatch.setattr(
        "sys.stdin", SimpleNamespace(isatty=lambda: True, readline=lambda *_: "n\n", fileno=lambda: 0)
    )
    assert run("rm", "owner/model") == 1
    assert "Remove owner/model and free" in capsys.readouterr().err
    assert run("rm", "owner/model", "--yes", "--json") == 0
    freed = json.loads(capsys.readouterr().out)["freed"]
    assert freed == sum(len(data) for data in models.files().values())
    assert run("rm", "owner/model", "--yes") == 1


def test_a_model_that_the_cluster_serves_stays(
    hub: FakeHub, run: Run, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    run("pull", "owner/model")
    monkeypatch.setattr(command, "loaded_names", lambda: frozenset({"owner/model"}))
    assert run("rm", "owner/model", "--yes") == 1
    assert "[model_in_use]" in capsys.readouterr().err
    assert run("list") == 0
    shown = capsys.readouterr().out.splitlines()
    assert shown[0].split()[-1] == "loaded"
    assert next(line for line in shown if "owner/model" in line).split()[-1] == "yes"
