"""The command line and the clusters that it starts. `cluster`, the one of all levels, is in tests/conftest.py."""

import gc
import os
import shutil
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from cluster.runtime.state import ClusterState

ROOT = Path(__file__).parents[2]
START_S = 280  # below pytest's own limit of 300 s a test, so that the reason is printed


def environment(home: Path, extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """What a command of the home sees: no setting of the caller's own."""
    kept = {name: text for name, text in os.environ.items() if not name.startswith(("HELIOSTAT", "RAY_", "HF_"))}
    return {**kept, "HELIOSTAT_HOME": str(home), **(extra or {})}


def heliostat(
    home: Path, *args: str, timeout: float = START_S, extra: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run one command of the command line on a home."""
    return subprocess.run(
        [sys.executable, "-m", "deployments", *args],
        cwd=ROOT,
        env=environment(home, extra),
        capture_output=True,
        text=True,
        timeout=timeout,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class RunningCluster:
    """The session's cluster. started_in_s: what `up` took, in all."""

    home: Path
    url: str
    state: ClusterState
    started_in_s: float
    config: Path

    def run(
        self, *args: str, timeout: float = START_S, extra: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run `heliostat …` on the cluster's home."""
        return heliostat(self.home, *args, timeout=timeout, extra=extra)

    def environment(self) -> dict[str, str]:
        """What a program needs to reach the cluster with Ray's own tools."""
        own = {"RAY_ADDRESS": self.state.address, "RAY_API_SERVER_ADDRESS": self.state.dashboard}
        return environment(
            self.home, {**self.state.environment, **own, "RAY_DASHBOARD_ADDRESS": self.state.dashboard}
        )


@pytest.fixture(scope="module", autouse=True)
def _nothing_left_open() -> Iterator[None]:
    """What a module's tests have left open goes at its end: at the run's own it would fail the run and name nobody.

    Known: a connection to PostgreSQL of `stores/test_text.py`, some times.
    """
    yield
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()


@pytest.fixture
def new_home() -> Iterator[Path]:
    """A home with nothing in it; a cluster that a failed test left on it is stopped."""
    folder = Path(tempfile.mkdtemp(prefix="heliostat-test-"))
    yield folder
    if (folder / "run" / "cluster.json").is_file():
        heliostat(folder, "down", timeout=60)
    shutil.rmtree(folder, ignore_errors=True)
