"""Every test carries the marker of the level whose folder it lies in; and the cluster that levels share."""

import gc
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings

if TYPE_CHECKING:
    from tests.live.conftest import RunningCluster

settings.register_profile("unhurried", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("unhurried")  # how long an example takes says how busy the machine is

LEVELS = {"graph", "live", "gpu", "browser", "faults"}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    root = Path(__file__).parent
    for item in items:
        level = item.path.relative_to(root).parts[0]
        if level in LEVELS:
            item.add_marker(level)
    # Last, so that it does not stand beside the clusters that others start: two real models take from their cores.
    items.sort(key=lambda item: "cluster" in getattr(item, "fixturenames", ()))


def pytest_collection_finish() -> None:
    """What has been imported stays: the collector need not look through it again, hundreds of times."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def cluster() -> "Iterator[RunningCluster]":
    """configs/demo.yaml, running: real vLLM, real embeddings, an empty home of its own."""
    from cluster.runtime import processes
    from cluster.runtime.ports import free_block
    from cluster.runtime.state import read_state
    from tests.live.conftest import ROOT, START_S, RunningCluster, heliostat

    home = Path(tempfile.mkdtemp(prefix="heliostat-live-"))
    config = ROOT / "configs" / "demo.yaml"
    began = time.monotonic()
    done = heliostat(
        home, "up", str(config), "--port", str(free_block(16)), "--detach", "--timeout", str(START_S - 20)
    )
    took = time.monotonic() - began
    if done.returncode != 0:
        pytest.fail(f"`heliostat up` failed:\n{done.stdout}\n{done.stderr}", pytrace=False)
    sys.stderr.write(done.stderr)
    state = read_state(home)
    yield RunningCluster(home=home, url=state.url, state=state, started_in_s=took, config=config)
    stopped = heliostat(home, "down", timeout=60)
    left = [process.cmdline() for process in processes.marked(state.id)]
    shutil.rmtree(home, ignore_errors=True)
    assert stopped.returncode == 0, stopped.stderr
    assert left == [], "processes were left behind"
