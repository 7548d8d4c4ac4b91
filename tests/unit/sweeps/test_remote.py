"""`heliostat sweep run --address`: a sweep on a cluster elsewhere, by its job server."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml

from cluster.console.terminal import run
from cluster.errors import ClusterError
from pipelines.sweeps import remote
from pipelines.sweeps.command import app
from pipelines.sweeps.spec import read_spec

SPEC: dict[str, Any] = {
    "name": "far",
    "models": ["m"],
    "prompts": {"file": "asked.txt"},
    "parameters": {"top_p": [0.5, 1]},
}


@dataclass
class Server:
    """A job server whose job goes as its script says: status, exit code, and all that is printed by then."""

    looks: list[tuple[str, int | None, str] | Exception]
    submitted: list[dict[str, Any]] = field(default_factory=list)
    spec: dict[str, Any] = field(default_factory=dict)
    place: int = 0

    def submit_job(self, **asked: Any) -> str:
        self.submitted.append(asked)
        self.spec = json.loads(Path(asked["runtime_env"]["working_dir"], "spec.json").read_text())
        return str(asked["submission_id"])

    def get_job_info(self, job_id: str) -> Any:
        assert job_id == self.submitted[0]["submission_id"]
        look = self.looks[self.place]
        if isinstance(look, Exception):
            self.place += 1
            raise look
        return SimpleNamespace(
            status=SimpleNamespace(value=look[0]), driver_exit_code=look[1], message="it was\nso"
        )

    def get_job_logs(self, job_id: str) -> str:
        look = self.looks[self.place]
        assert not isinstance(look, Exception)
        self.place += 1
        return look[2]


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HELIOSTAT_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(remote, "LOOK_S", 0.0)
    (tmp_path / "asked.txt").write_text("one\ntwo\n")
    (tmp_path / "spec.yaml").write_text(yaml.safe_dump(SPEC))
    return tmp_path


def there(monkeypatch: pytest.MonkeyPatch, *looks: tuple[str, int | None, str] | Exception) -> Server:
    server = Server(list(looks))
    monkeypatch.setattr(remote, "jobs_at", lambda _: server)
    return server


def test_a_token_that_is_refused_is_one_error_and_no_page(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ray raises an error of its own for it, which came through as a traceback of a hundred lines."""
    from ray.exceptions import AuthenticationError

    def refuse(_: str) -> None:
        raise AuthenticationError("Authentication required: Missing authentication token\nA page\nfollows")

    monkeypatch.setattr("ray.job_submission.JobSubmissionClient", refuse)
    with pytest.raises(ClusterError) as caught:
        remote.jobs_at("http://far:8265")
    assert caught.value.message == "http://far:8265: Authentication required: Missing authentication token"
    assert "RAY_AUTH_TOKEN" in (caught.value.hint or "")


def sweep(folder: Path, *words: str) -> int:
    with pytest.raises(SystemExit) as caught:
        run(app, ["run", str(folder / "spec.yaml"), "--address", "http://far:8265", *words])
    code = caught.value.code
    return code if isinstance(code, int) else 0


def test_the_spec_goes_along_whole_and_the_output_comes_back_once(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    server = there(
        monkeypatch, ("PENDING", None, ""), ("RUNNING", None, "1/4\n"), ("RUNNING", None, "1/4\n"),
        ("SUCCEEDED", 0, "1/4\n4/4\n"),
    )  # fmt: skip
    assert sweep(home, "--yes") == 0
    printed = capsys.readouterr().out
    assert "4 cells" in printed  # the plan, before it leaves
    assert printed.endswith(f"job {server.submitted[0]['submission_id']} at http://far:8265\n1/4\n4/4\n")
    assert [prompt.text for prompt in read_spec(server.spec).prompts] == ["one", "two"]
    assert server.submitted[0]["entrypoint"].endswith("-m pipelines sweep run spec.json --yes")
    assert not Path(server.submitted[0]["runtime_env"]["working_dir"]).exists()
    assert not (home / "home").exists()


@pytest.mark.parametrize(
    ("look", "code", "said"),
    [
        (("FAILED", 3, "paused\n"), 3, "paused"),
        (("FAILED", None, ""), 1, "failed: it was so"),
        (("STOPPED", None, ""), 1, "stopped: it was so"),
    ],
)
def test_it_ends_as_its_driver_did(
    home: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    look: tuple[str, int | None, str],
    code: int,
    said: str,
) -> None:
    there(monkeypatch, look)
    assert sweep(home, "--yes") == code
    assert said in capsys.readouterr().out


def test_fresh_goes_along(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    server = there(monkeypatch, ("SUCCEEDED", 0, ""))
    assert sweep(home, "--fresh") == 0
    assert server.submitted[0]["entrypoint"].endswith("--yes --fresh")


def test_a_dry_run_submits_nothing(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert sweep(home, "--dry-run") == 0
    assert there(monkeypatch).submitted == []


def test_a_line_that_breaks_for_a_moment_ends_nothing(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    there(monkeypatch, OSError("reset"), RuntimeError("502"), ("SUCCEEDED", 0, "done\n"))
    assert sweep(home) == 0
    assert capsys.readouterr().out.endswith("done\n")


def test_a_cluster_that_stays_away_is_told_of_and_the_job_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    server = Server([OSError("gone")] * 300, submitted=[{"submission_id": "sweep-1"}])
    slept: list[float] = []
    monkeypatch.setattr(remote, "LOOK_S", 1.0)
    with pytest.raises(ClusterError, match="sweep-1 may go on: gone"):
        remote.follow(server, "sweep-1", slept.append, sleep=slept.append)
    assert sum(slept) == remote.PATIENCE_S


def test_ctrl_c_leaves_the_job_alone(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    server = there(monkeypatch)
    monkeypatch.setattr(server, "get_job_info", lambda _: (_ for _ in ()).throw(KeyboardInterrupt()))
    assert sweep(home) == 130
    assert "ray job stop sweep-" in capsys.readouterr().err


def test_a_batch_experiment_has_a_cluster_of_its_own(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        run(app, ["run", "--batch", "1", "--address", "http://far:8265"])
    assert caught.value.code == 2
    assert "--address goes with a spec" in capsys.readouterr().err
