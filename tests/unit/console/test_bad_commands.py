"""Commands that need no cluster to be wrong: one line on stderr and a non-zero exit, in-process."""

from pathlib import Path

import pytest

from deployments.__main__ import main

SPEC = "name: a\nmodels: [m]\nprompts: [x]\n"
SPECS = {  # and what is said of each
    "empty": ("", "spec.yaml: not a mapping"),
    "a list": ("[1]", "spec.yaml: not a mapping"),
    "not YAML": ("a: [1,", "spec.yaml: not YAML: "),
    "no cells": ("name: a\nmodels: [m]\nprompts: []\n", "[empty_plan]"),
    "ten million cells": (SPEC + "repeats: 10000000\n", "[plan_too_large]"),
    "unknown key": (SPEC + "repeat: 1\n", "spec.yaml: repeat: unknown key"),
    "NaN": (SPEC + "parameters: {temperature: .nan}\n", "parameters.temperature: should be a number from 0 to 2"),
    "step 0": (
        SPEC + "parameters: {temperature: {min: 0, max: 1, step: 0}}\n",
        "parameters.temperature: step should be a number above 0; got 0",
    ),
    "NUL in the name": (SPEC.replace("name: a", 'name: "a\\0"'), "spec.yaml: name: "),
    "prompts of a device": ("name: a\nmodels: [m]\nprompts: {file: /dev/zero}\n", "/dev/zero: not a file"),
    "prompts of no file": ("name: a\nmodels: [m]\nprompts: {file: nope.txt}\n", "nope.txt: no such file"),
}


def failed(capsys: pytest.CaptureFixture[str], *words: str, status: int | None = None) -> str:
    with pytest.raises(SystemExit) as caught:
        main(list(words))
    told = capsys.readouterr().err
    assert caught.value.code not in {0, None}
    assert status in {caught.value.code, None}
    assert told.startswith("error: ")
    assert told.count("\n") == 1
    return told


@pytest.fixture(autouse=True)
def _own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HELIOSTAT_HOME", str(tmp_path / "home"))


@pytest.mark.parametrize(("text", "why"), SPECS.values(), ids=SPECS.keys())
def test_a_spec_that_cannot_run(text: str, why: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    spec = tmp_path / "spec.yaml"
    spec.write_text(text)
    assert why in failed(capsys, "sweep", "run", str(spec), "--dry-run", status=2)


def test_a_spec_that_is_binary_missing_or_a_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\x00\x80")
    for name, why in {
        "binary.yaml": "binary.yaml: cannot be read: 'utf-8' codec",
        "missing.yaml": "missing.yaml: no such file",
        ".": "Is a directory",
    }.items():
        assert why in failed(capsys, "sweep", "run", str(tmp_path / name), "--dry-run", status=2)


def test_what_needs_a_cluster_says_that_there_is_none(capsys: pytest.CaptureFixture[str]) -> None:
    for words in (["ask", "hi"], ["ingest", "README.md"], ["status"], ["down"]):
        assert "not_running" in failed(capsys, *words)


def test_a_url_that_is_none(capsys: pytest.CaptureFixture[str]) -> None:
    for url in ("http://[::1", "nope", "ftp://x"):
        assert "is no URL" in failed(capsys, "ask", "hi", "--url", url)


def test_a_sweep_that_is_not_stored(capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("nope", "", "../../etc"):
        assert "experiment_not_found" in failed(capsys, "sweep", "show", name)
