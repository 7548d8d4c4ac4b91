"""A sweep's runner without a cluster: cheap enough to be killed anywhere, compaction included."""

import random
import signal
import time
from pathlib import Path

import duckdb

from cluster.stores.runs import Run
from tests.faults.alone.local_sweep import SPEC, started
from tests.unit.sweeps.driving import House


def test_a_sweep_killed_twenty_times_at_random_has_exactly_the_planned_cells(tmp_path: Path) -> None:
    house = House(tmp_path)
    run = Run(tmp_path, house.plan(SPEC).run_id)
    chance = random.Random(20)  # the moments are the machine's anyway
    kills = 0
    while kills < 20:
        parts = len(run.files())
        driver = started(tmp_path)
        enough, moment = chance.randrange(1, 4), chance.uniform(0, 0.2)
        while driver.is_alive() and 0 <= len(run.files()) - parts < enough:
            time.sleep(0.01)
        time.sleep(moment)
        driver.kill()
        driver.join()
        kills += driver.exitcode == -signal.SIGKILL
        if driver.exitcode == 0:
            run.remove()  # it was whole before its twentieth kill: another one is killed further
    house.run(SPEC)
    planned = sorted(cell.id for cell in house.plan(SPEC).cells())
    assert sorted(row["cell_id"] for row in run.table(["cell_id"]).to_pylist()) == planned
    counted = duckdb.sql(f"SELECT count(*), count(DISTINCT cell_id) FROM '{run.parts}/*.parquet'").fetchall()
    assert counted == [(len(planned), len(planned))]
    assert all(run.stored().values())
