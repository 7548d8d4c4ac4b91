"""Commands against the running cluster with paths, files and ids that are wrong: one line, and a non-zero exit."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.live.conftest import ROOT, RunningCluster
from tests.live.test_bad_input import pdf


@pytest.fixture
def files() -> Iterator[Path]:
    """A folder inside the allowed one."""
    import shutil

    folder = ROOT / "data-of-a-test"
    folder.mkdir()
    yield folder
    shutil.rmtree(folder)


def one_line(cluster: RunningCluster, *args: str) -> str:
    done = cluster.run(*args, timeout=120)
    lines = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert done.returncode not in {0, -9}, done.stdout
    assert "Traceback" not in done.stdout + done.stderr
    assert len(lines) == 1, done.stderr
    return lines[0]


def test_ingest_names_the_path_that_it_will_not_read(cluster: RunningCluster, files: Path) -> None:
    (files / "a.exe").write_bytes(b"MZ")
    assert "no such file" in one_line(cluster, "ingest", str(files / "nope.txt"))
    assert "path_not_allowed" in one_line(cluster, "ingest", "/etc/hostname")
    assert "path_not_allowed" in one_line(cluster, "ingest", f"{files}/../../../../../../etc")
    assert "unsupported_document_type" in one_line(cluster, "ingest", str(files / "a.exe"))
    assert "no file to read" in one_line(cluster, "ingest", str(files))


def test_ingest_says_which_files_failed_and_exits_1(cluster: RunningCluster, files: Path) -> None:
    (files / "empty.txt").touch()
    (files / "broken.pdf").write_bytes(pdf()[:300])
    (files / "locked.pdf").write_bytes(pdf("secret"))
    done = cluster.run("ingest", str(files), timeout=200)
    assert done.returncode == 1, done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    for name, why in {"empty.txt": "empty", "broken.pdf": "cannot be read", "locked.pdf": "password"}.items():
        assert any(name in line and why in line for line in done.stdout.splitlines()), done.stdout


def test_sweeps_that_cannot_run_are_refused_before_they_start(cluster: RunningCluster, tmp_path: Path) -> None:
    spec = tmp_path / "spec.yaml"
    for text, why in {
        "name: a\nmodels: [nope]\nprompts: [x]\n": "model_not_found",
        "name: a\nmodels: [spark-chat]\nprompts: []\n": "empty_plan",
        "name: a\nmodels: [spark-chat]\nprompts: [x]\nrepeats: 10000000\n": "plan_too_large",
    }.items():
        spec.write_text(text)
        assert why in one_line(cluster, "sweep", "run", str(spec), "--yes")
    assert "experiment_not_found" in one_line(cluster, "sweep", "show", "nope")
    assert "experiment_not_found" in one_line(cluster, "sweep", "run", "--batch", "12345")


def test_a_question_that_is_refused_is_one_line(cluster: RunningCluster) -> None:
    assert "query" in one_line(cluster, "ask", "")
    assert "nope" in one_line(cluster, "ask", "why", "--model", "nope")
