"""Sweeps whose parts are killed: whatever dies, the next run ends with exactly the planned cells."""

import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import duckdb
import psutil
import yaml

from cluster.runtime import processes
from cluster.runtime.state import read_state
from cluster.stores.runs import Run
from pipelines.sweeps.plan import Plan
from pipelines.sweeps.spec import load_spec
from tests.live.conftest import ROOT, environment, heliostat

CELLS = 200


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


def test_a_second_driver_is_refused_and_a_killed_worker_replaced_and_no_cell_runs_twice(
    home: Path, tmp_path: Path
) -> None:
    cells = 3 * CELLS  # the second one takes seconds to start, and longer where the machine is busy
    spec = spec_file(tmp_path, cells=cells)
    run = run_of(home, spec)
    driver = start(home, spec)
    wait_for_rows(run, 1, driver)
    second = heliostat(home, "sweep", "run", str(spec), "--yes")
    assert (second.returncode, "[conflict]" in second.stderr) == (1, True), second.stderr
    wait_for_rows(run, 48, driver)
    stored = set(run.stored())
    killed = workers(home)
    assert killed, "no worker process was found"
    for process in killed:
        process.kill()
    assert driver.wait(200) == 0
    assert count(run) == (cells, cells)
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
    assert heliostat(home, "sweep", "retry-failed", run.id).returncode == 0
    assert all(run.stored().values())
    assert count(run) == (20, 20)


def test_a_paused_sweep_goes_on_where_it_was(home: Path, tmp_path: Path) -> None:
    spec = spec_file(tmp_path)
    run = run_of(home, spec)
    driver = start(home, spec)
    wait_for_rows(run, 32, driver)
    paused = heliostat(home, "sweep", "pause", run.id)
    assert "is paused" in paused.stdout, paused.stdout + paused.stderr
    assert driver.wait(30) == 3
    assert 32 <= len(run.stored()) < CELLS
    assert heliostat(home, "sweep", "resume", run.id).returncode == 0
    assert count(run) == (CELLS, CELLS)
    assert run.standing().status == "completed"
