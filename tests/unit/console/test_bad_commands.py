"""Commands that need no cluster to be wrong: one line on stderr and a non-zero exit, in-process."""

from pathlib import Path

import pytest

from deployments.__main__ import main

SPEC = "name: a\nmodels: [m]\nprompts: [x]\n"
SPECS = {
    "empty": "",
    "a list": "[1]",
    "not YAML": "a: [1,",
    "no cells": "name: a\nmodels: [m]\nprompts: []\n",
    "ten million cells": SPEC + "repeats: 10000000\n",
    "unknown key": SPEC + "repeat: 1\n",
    "NaN": SPEC + "parameters: {temperature: .nan}\n",
    "step 0": SPEC + "parameters: {temperature: {min: 0, max: 1, step: 0}}\n",
    "NUL in the name": SPEC.replace("name: a", 'name: "a\\0"'),
    "prompts of a device": "name: a\nmodels: [m]\nprompts: {file: /dev/zero}\n",
    "prompts of no file": "name: a\nmodels: [m]\nprompts: {file: nope.txt}\n",
}


def failed(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    with pytest.raises(SystemExit) as caught:
        main(list(words))
    told = capsys.readouterr().err
    assert caught.value.code not in {0, None}
    assert told.startswith("error: ")
    assert told.count("\n") == 1
    return told


@pytest.fixture(autouse=True)
def _own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HELIOSTAT_HOME", str(tmp_path / "home"))


@pytest.mark.parametrize("text", SPECS.values(), ids=SPECS.keys())
def test_a_spec_that_cannot_run(text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    spec = tmp_path / "spec.yaml"
    spec.write_text(text)
    failed(capsys, "sweep", "run", str(spec), "--dry-run")


def test_a_spec_that_is_binary_missing_or_a_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\x00\x80")
    for name in ("binary.yaml", "missing.yaml", "."):
        failed(capsys, "sweep", "run", str(tmp_path / name), "--dry-run")


def test_what_needs_a_cluster_says_that_there_is_none(capsys: pytest.CaptureFixture[str]) -> None:
    for words in (["ask", "hi"], ["ingest", "README.md"], ["status"], ["down"]):
        assert "not_running" in failed(capsys, *words)


def test_a_url_that_is_none(capsys: pytest.CaptureFixture[str]) -> None:
    for url in ("http://[::1", "nope", "ftp://x"):
        assert "is no URL" in failed(capsys, "ask", "hi", "--url", url)


def test_a_sweep_that_is_not_stored(capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("nope", "", "../../etc"):
        assert "experiment_not_found" in failed(capsys, "sweep", "show", name)
