"""Sweeps on the real cluster: the command line and the experiments API, real vLLM, real Parquet."""

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import duckdb
import httpx
import pytest
import yaml

from cluster.stores.runs import Run
from pipelines.sweeps.plan import Plan
from pipelines.sweeps.spec import load_spec, read_spec
from tests.live.conftest import ROOT, RunningCluster, environment

DEMO = ROOT / "configs" / "sweeps" / "demo.yaml"


def sweep(cluster: RunningCluster, spec: Path) -> Run:
    return Run(cluster.home, Plan(spec=load_spec(spec)).run_id)


def spec_file(folder: Path, **changes: Any) -> Path:
    spec = {
        "name": folder.name,
        "models": ["spark-chat"],
        "prompts": ["Tell me a story.", "What is the sun?"],
        "parameters": {"temperature": [0.3, 0.9], "max_tokens": 24},
        "repeats": 2,
        **changes,
    }
    file = folder / "spec.yaml"
    file.write_text(yaml.safe_dump(spec))
    return file


def count(run: Run) -> tuple[int, int]:
    """Rows and distinct cells in the Parquet as any reader finds it."""
    query = f"SELECT count(*), count(DISTINCT cell_id) FROM '{run.parts}/*.parquet'"
    rows, cells = duckdb.sql(query).fetchall()[0]
    return rows, cells


def wait_for_rows(run: Run, rows: int, driver: subprocess.Popen[bytes]) -> None:
    while driver.poll() is None:
        if len(run.stored()) >= rows:
            return
        time.sleep(0.05)
    raise AssertionError("the sweep ended before it could be killed")


@pytest.fixture(scope="module")
def demo(cluster: RunningCluster) -> subprocess.CompletedProcess[str]:
    """The demo sweep, run once."""
    return cluster.run("sweep", "run", str(DEMO), "--yes")


def test_the_demo_sweep_runs_every_cell_on_the_served_model(
    cluster: RunningCluster, demo: subprocess.CompletedProcess[str]
) -> None:
    assert demo.returncode == 0, demo.stderr
    run = sweep(cluster, DEMO)
    assert count(run) == (24, 24)
    rows = run.table().to_pylist()
    assert all(row["error_code"] is None and row["text"].strip() for row in rows)
    assert all(0 < row["ttft_ms"] <= row["latency_ms"] for row in rows)
    assert all(1 <= row["completion_tokens"] <= 48 and row["prompt_tokens"] > 0 for row in rows)
    assert len({row["seed"] for row in rows}) == 24
    assert {row["engine"] for row in rows} == {"vllm"}
    assert str(run.parts) in demo.stdout


def test_a_sweep_tells_its_progress_and_nothing_of_its_machinery(demo: subprocess.CompletedProcess[str]) -> None:
    lines = demo.stderr.splitlines()
    assert lines
    assert all(" cells, " in line for line in lines), demo.stderr


def test_the_same_sweep_again_adds_nothing(cluster: RunningCluster, demo: object) -> None:
    before = sweep(cluster, DEMO).table()
    done = cluster.run("sweep", "run", str(DEMO), "--yes")
    assert "nothing was left to run" in done.stdout
    assert sweep(cluster, DEMO).table().equals(before)


def test_a_stored_sweep_is_listed_and_shown(cluster: RunningCluster, demo: object) -> None:
    run = sweep(cluster, DEMO)
    listed = json.loads(cluster.run("sweep", "list", "--json").stdout)
    assert run.id in {row["id"] for row in listed}
    shown = json.loads(cluster.run("sweep", "show", run.id[:8], "--json").stdout)
    assert (shown["done"], shown["errors"], len(shown["configurations"])) == (24, 0, 6)
    assert {summary["cells"] for summary in shown["configurations"]} == {4}


def test_the_same_seed_gives_the_same_answer(cluster: RunningCluster, tmp_path: Path) -> None:
    spec = spec_file(tmp_path, repeats=1)
    texts = []
    for _ in range(2):
        assert cluster.run("sweep", "run", str(spec), "--yes", "--fresh").returncode == 0
        texts.append(sweep(cluster, spec).table(["text"]).to_pylist())
    assert texts[0] == texts[1]


def test_a_sweep_whose_driver_is_killed_ends_with_exactly_the_planned_cells(
    cluster: RunningCluster, tmp_path: Path
) -> None:
    spec = spec_file(tmp_path, repeats=25, parameters={"temperature": [0.3, 0.9], "max_tokens": 64})
    run = sweep(cluster, spec)
    driver = subprocess.Popen(
        [sys.executable, "-m", "deployments", "sweep", "run", str(spec), "--yes"],
        cwd=ROOT,
        env=environment(cluster.home),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    wait_for_rows(run, 20, driver)
    driver.kill()
    driver.wait()
    kept = set(run.stored())
    assert 20 <= len(kept) < 100
    done = cluster.run("sweep", "run", str(spec), "--yes")
    assert done.returncode == 0, done.stderr
    assert count(run) == (100, 100)
    planned = {cell.id for cell in plan_as_run(run).cells()}
    assert set(run.stored()) == planned
    assert kept <= planned


def plan_as_run(run: Run) -> Plan:
    """The plan with the revisions that the run was made with."""
    revisions = {model: about["revision"] for model, about in run.manifest().models.items()}
    return Plan(spec=read_spec(json.loads(run.spec())), revisions=revisions)


def test_what_cannot_run_is_one_line(cluster: RunningCluster, tmp_path: Path) -> None:
    for changes, code, said in (
        ({"models": ["gpt-5"]}, 1, "gpt-5"),
        ({"prompts": []}, 2, "no cells"),
        ({"repeats": 10_000_000}, 2, "over the limit"),
        ({"parameters": {"temprature": 1}}, 2, "parameters.temprature"),
    ):
        done = cluster.run("sweep", "run", str(spec_file(tmp_path, **changes)), "--yes")
        assert (done.returncode, len(done.stderr.splitlines())) == (code, 1), done.stderr
        assert said in done.stderr
    unknown = cluster.run("sweep", "show", "feedfeedfeed")
    assert (unknown.returncode, len(unknown.stderr.splitlines())) == (1, 1)


def test_a_batch_experiment_runs_to_its_end_over_http(cluster: RunningCluster) -> None:
    body = {
        "name": "over http",
        "prompt": "Tell me a story about the sea.",
        "model": "spark-chat",
        "parameter_ranges": {"temperature": {"min": 0.2, "max": 1.0, "step": 0.4}, "max_tokens": [16, 32]},
        "response_count": 2,
    }
    with httpx.Client(base_url=f"{cluster.url}/api/experiments", timeout=30, trust_env=False) as client:
        made = client.post("/batch", json=body).json()
        assert made["total_combinations"] == 12
        path = f"/batch/{made['id']}"
        assert client.post(f"{path}/start").json()["status"] == "running"
        assert client.post(f"{path}/start").status_code == 409
        deadline = time.monotonic() + 90
        while (status := client.get(f"{path}/status").json())["status"] == "running":
            assert time.monotonic() < deadline, status
            time.sleep(0.5)
        assert status["status"] == "completed", status
        assert (status["progress"], status["completed_combinations"]) == (100, 12)
        assert status["results_preview"]["metric"] == "completeness/1"
        assert 0 <= status["results_preview"]["average_quality_score"] <= 100
        run = Run(cluster.home, client.get(path).json()["run_id"])
        assert count(run) == (12, 12)
