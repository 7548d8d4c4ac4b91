"""Sweeps whose parts are killed: whatever dies, the next run ends with exactly the planned cells."""

import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import psutil
import pytest
import yaml

from cluster.runtime import processes
from cluster.runtime.ports import free_block
from cluster.runtime.state import read_state
from cluster.stores.runs import Run
from pipelines.sweeps.plan import Plan
from pipelines.sweeps.spec import load_spec
from tests.live.conftest import ROOT, environment, heliostat

pytestmark = pytest.mark.faults

CELLS = 200


@pytest.fixture(scope="module")
def home() -> Iterator[Path]:
    """A cluster with scripted engines: 200 cells take about six seconds."""
    folder = Path(tempfile.mkdtemp(prefix="heliostat-faults-"))
    engine = {"kind": "scripted", "tokens": 20, "token_delay_s": 0.01}
    args = {
        "models": [
            {"id": "echo", "engine": engine},
            {"id": "flaky", "engine": {"kind": "scripted", "tokens": 3, "fail_every": 8}},
            {"id": "narrow", "engine": engine, "replicas": {"max_ongoing": 2, "max_queued": 1}},
        ],
        "sweeps": {"in_flight": 8, "retries": 0, "block_cells": 16},
    }
    application = {"name": "heliostat", "route_prefix": "/", "import_path": "deployments.app:build", "args": args}
    config = folder / "config.yaml"
    http = {"host": "127.0.0.1", "port": free_block(16)}
    config.write_text(yaml.safe_dump({"http_options": http, "applications": [application]}))
    done = heliostat(folder, "up", str(config), "--detach")
    if done.returncode != 0:
        pytest.fail(f"`heliostat up` failed:\n{done.stderr}", pytrace=False)
    yield folder
    assert heliostat(folder, "down", timeout=60).returncode == 0
    shutil.rmtree(folder, ignore_errors=True)


def spec_file(folder: Path, model: str = "echo", cells: int = CELLS) -> Path:
    spec: dict[str, Any] = {
        "name": folder.name,
        "models": [model],
        "prompts": [f"{folder.name} one two", f"{folder.name} three four"],
        "parameters": {"temperature": [0.1, 0.9], "max_tokens": 20},
        "repeats": cells // 4,
    }
    file = folder / "spec.yaml"
    file.write_text(yaml.safe_dump(spec))
    return file


def run_of(home: Path, spec: Path) -> Run:
    return Run(home, Plan(spec=load_spec(spec)).run_id)


def start(home: Path, spec: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "deployments", "sweep", "run", str(spec), "--yes"],
        cwd=ROOT,
        env=environment(home),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def wait_for_rows(run: Run, rows: int, driver: subprocess.Popen[bytes]) -> None:
    while driver.poll() is None:
        if len(run.stored()) >= rows:
            return
        time.sleep(0.05)
    raise AssertionError("the sweep ended before anything could be killed")


def count(run: Run) -> tuple[int, int]:
    rows, cells = duckdb.sql(f"SELECT count(*), count(DISTINCT cell_id) FROM '{run.parts}/*.parquet'").fetchall()[0]
    return rows, cells


def workers(home: Path) -> list[psutil.Process]:
    marked = processes.marked(read_state(home).id)
    return [process for process in marked if "CellWorker" in " ".join(process.cmdline())]


def test_a_driver_killed_twice_leaves_exactly_the_planned_cells(home: Path, tmp_path: Path) -> None:
    spec = spec_file(tmp_path)
    run = run_of(home, spec)
    for rows in (32, 96):
        driver = start(home, spec)
        wait_for_rows(run, rows, driver)
        driver.kill()
        driver.wait()
    done = heliostat(home, "sweep", "run", str(spec), "--yes")
    assert done.returncode == 0, done.stderr
    assert count(run) == (CELLS, CELLS)


def test_a_second_driver_is_refused_while_the_first_works(home: Path, tmp_path: Path) -> None:
    cells = 5 * CELLS  # the second one takes seconds to start, and longer where the machine is busy
    spec = spec_file(tmp_path, cells=cells)
    run = run_of(home, spec)
    driver = start(home, spec)
    wait_for_rows(run, 1, driver)
    second = heliostat(home, "sweep", "run", str(spec), "--yes")
    assert (second.returncode, "[conflict]" in second.stderr) == (1, True), second.stderr
    assert driver.wait(200) == 0
    assert count(run) == (cells, cells)


def test_a_killed_worker_is_replaced_and_no_cell_runs_twice(home: Path, tmp_path: Path) -> None:
    spec = spec_file(tmp_path)
    run = run_of(home, spec)
    driver = start(home, spec)
    wait_for_rows(run, 48, driver)
    stored = set(run.stored())
    killed = workers(home)
    assert killed, "no worker process was found"
    for process in killed:
        process.kill()
    assert driver.wait(120) == 0
    assert count(run) == (CELLS, CELLS)
    assert stored <= set(run.stored())


def test_a_model_that_is_often_full_fails_no_cell(home: Path, tmp_path: Path) -> None:
    spec = spec_file(tmp_path, model="narrow", cells=40)
    done = heliostat(home, "sweep", "run", str(spec), "--yes")
    assert done.returncode == 0, done.stdout + done.stderr
    assert all(run_of(home, spec).stored().values())


def test_failed_cells_are_rows_and_only_retry_runs_them_again(home: Path, tmp_path: Path) -> None:
    spec = spec_file(tmp_path, model="flaky", cells=20)
    run = run_of(home, spec)
    first = heliostat(home, "sweep", "run", str(spec), "--yes")
    assert first.returncode == 1
    failed = [cell for cell, well in run.stored().items() if not well]
    assert len(failed) == 2  # its calls 8 and 16
    again = heliostat(home, "sweep", "run", str(spec), "--yes")
    assert "nothing was left to run" in again.stdout
    assert heliostat(home, "sweep", "retry", run.id).returncode == 0
    assert all(run.stored().values())
    assert count(run) == (20, 20)
