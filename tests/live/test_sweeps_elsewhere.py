"""Sweeps that are launched from a machine without a cluster, and with nothing but Ray's own tools."""

import subprocess
import sys
from pathlib import Path

import pytest

from cluster.stores.runs import Run
from pipelines.sweeps.plan import Plan
from pipelines.sweeps.spec import load_spec
from tests.live.conftest import ROOT, RunningCluster, heliostat
from tests.live.test_sweeps import count, spec_file

RAY = Path(sys.executable).with_name("ray")


@pytest.fixture
def laptop(tmp_path: Path) -> Path:
    """A home that no cluster was ever started on."""
    home = tmp_path / "laptop"
    home.mkdir()
    return home


def test_a_sweep_from_a_laptop_runs_on_the_cluster_and_leaves_its_rows_there(
    cluster: RunningCluster, laptop: Path, tmp_path: Path
) -> None:
    (tmp_path / "asked.jsonl").write_text('{"id": "sun", "text": "What is the sun?"}\n')
    spec = spec_file(tmp_path, prompts={"file": "asked.jsonl"})
    done = heliostat(
        laptop,
        "sweep",
        "run",
        str(spec),
        "--address",
        cluster.state.dashboard,
        "--yes",
        extra=cluster.state.environment,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"job sweep-{done.stdout.split('job sweep-')[1][:12]} at {cluster.state.dashboard}" in done.stdout
    assert "4 stored, 0 failed" in done.stdout
    run = Run(cluster.home, Plan(spec=load_spec(spec)).run_id)
    assert count(run) == (4, 4)
    assert {row["prompt_id"] for row in run.table(["prompt_id"]).to_pylist()} == {"sun"}
    assert not (laptop / "sweeps").exists()


def test_who_has_no_token_is_told_so_in_one_line(cluster: RunningCluster, laptop: Path, tmp_path: Path) -> None:
    """Ray's error for it had come through as a traceback of a hundred lines."""
    spec = spec_file(tmp_path)
    done = heliostat(laptop, "sweep", "run", str(spec), "--address", cluster.state.dashboard, "--yes")
    assert (done.returncode, len(done.stderr.splitlines())) == (1, 1), done.stderr
    assert "RAY_AUTH_TOKEN" in done.stderr


def test_plain_ray_job_submit_runs_a_sweep(cluster: RunningCluster, tmp_path: Path) -> None:
    spec = spec_file(tmp_path, prompts=["Where do bees live?"])
    done = subprocess.run(
        [str(RAY), "job", "submit", "--", "sh", "-c", f"$HELIOSTAT_PYTHON -m pipelines sweep run {spec} --yes"],
        cwd=ROOT,
        env=cluster.environment(),
        capture_output=True,
        text=True,
        timeout=200,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert count(Run(cluster.home, Plan(spec=load_spec(spec)).run_id)) == (4, 4)
