"""`heliostat models eval` on the running cluster: the same tables as `make models-eval`, of fewer questions."""

import json
from pathlib import Path

import pytest

from pipelines.training.served import FIRST_TOKENS, TASKS_OF, tasks_of
from tests.live.conftest import RunningCluster

EACH = 2


@pytest.mark.parametrize("model", TASKS_OF)
def test_every_task_is_asked_and_the_figures_are_written(
    cluster: RunningCluster, tmp_path: Path, model: str
) -> None:
    file = tmp_path / "measured.json"
    arguments = ("--url", cluster.url, "--model", model, "--each", str(EACH), "--json", str(file), "--check")
    done = cluster.run("models", "eval", *arguments, timeout=250)
    assert file.is_file(), done.stdout + done.stderr
    (measured,) = json.loads(file.read_text())
    assert [score["task"] for score in measured["scores"]] == [task.name for task in tasks_of(model)]
    assert {score["asked"] for score in measured["scores"]} == {EACH}
    assert measured["speed"]["requests"] == FIRST_TOKENS
    assert measured["speed"]["pictures"] == (model == "spark-vision")
    assert 0 < measured["speed"]["first_p50_ms"] <= measured["speed"]["first_p95_ms"]
    assert measured["speed"]["tokens_per_s"] > 1
    assert (done.returncode == 0) == measured["reached"], "--check says what the table says"
    assert all(word in done.stdout for word in (model, measured["revision"], "95 % interval", "tokens/s"))


def test_a_server_that_is_not_there_is_said_in_a_line(cluster: RunningCluster) -> None:
    done = cluster.run("models", "eval", "--url", "http://127.0.0.1:1", "--model", "spark-chat", timeout=60)
    assert done.returncode != 0
    assert "http://127.0.0.1:1 does not answer" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_model_that_is_not_built_in_is_refused_before_anything_starts(cluster: RunningCluster) -> None:
    done = cluster.run("models", "eval", "--model", "gpt-9", timeout=60)
    assert done.returncode != 0
    assert "spark-chat or spark-vision" in done.stderr
