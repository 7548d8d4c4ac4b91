import os
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator

import psutil
import pytest

from cluster.runtime import processes

SLEEPER = "import time; time.sleep(60)"
STUBBORN = (
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('.', flush=True); time.sleep(60)"
)
PARENT = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {SLEEPER!r}], env={{}})"


@pytest.fixture
def marker() -> Iterator[str]:
    name = f"test-{uuid.uuid4()}"
    yield name
    for process in processes.marked(name):
        process.kill()


def start(marker: str, script: str) -> subprocess.Popen[str]:
    environment = {**os.environ, processes.MARKER: marker}
    return subprocess.Popen([sys.executable, "-c", script], env=environment, stdout=subprocess.PIPE, text=True)


def test_only_processes_with_the_marker_are_found(marker: str) -> None:
    ours, other = start(marker, SLEEPER), start(f"{marker}-other", SLEEPER)
    try:
        assert [process.pid for process in processes.marked(marker)] == [ours.pid]
    finally:
        other.kill()
        other.communicate()
        ours.kill()
        ours.communicate()


def test_a_child_that_lost_the_marker_belongs_to_the_cluster(marker: str) -> None:
    parent = start(marker, PARENT)
    deadline = time.monotonic() + 10
    while len(processes.marked(marker)) < 2 and time.monotonic() < deadline:
        time.sleep(0.02)
    assert len(processes.marked(marker)) == 2
    assert processes.stop(marker, grace_s=2) == 2
    parent.communicate()
    assert processes.marked(marker) == []


def test_what_ignores_sigterm_is_killed_after_the_grace(marker: str) -> None:
    process = start(marker, STUBBORN)
    assert process.stdout is not None
    process.stdout.readline()
    began = time.monotonic()
    assert processes.stop(marker, grace_s=0.3) == 1
    assert time.monotonic() - began >= 0.3
    assert processes.marked(marker) == []
    process.communicate()


def test_stopping_nothing_is_instant(marker: str) -> None:
    assert processes.stop(marker) == 0


def test_a_cluster_without_rays_daemons_is_dead(marker: str) -> None:
    process = start(marker, SLEEPER)
    assert not processes.is_alive(marker)
    process.kill()
    process.communicate()


def test_usage_counts_processes_and_their_memory(marker: str) -> None:
    process = start(marker, SLEEPER)
    found = processes.usage(marker)
    assert found.processes == 1
    assert found.memory_bytes <= psutil.virtual_memory().total
    process.kill()
    process.communicate()
