import os
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator

import psutil
import pytest

from cluster.runtime import processes

Start = Callable[..., subprocess.Popen[str]]
SLEEPER = "import time; time.sleep(60)"
STUBBORN = (
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('.', flush=True); time.sleep(60)"
)
PARENT = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {SLEEPER!r}], env={{}})"


@pytest.fixture
def marker() -> str:
    return f"test-{uuid.uuid4()}"


@pytest.fixture
def start(marker: str) -> Iterator[Start]:
    """Starts a script under a marker; whatever the test finds, no process and no pipe of it is left."""
    started: list[subprocess.Popen[str]] = []

    def run(script: str, marker: str = marker) -> subprocess.Popen[str]:
        environment = {**os.environ, processes.MARKER: marker}
        child = subprocess.Popen([sys.executable, "-c", script], env=environment, stdout=subprocess.PIPE, text=True)
        started.append(child)
        return child

    yield run
    for process in processes.marked(marker):
        process.kill()
    for child in started:
        child.kill()
        child.communicate()


def test_only_processes_with_the_marker_are_found(marker: str, start: Start) -> None:
    ours, _other = start(SLEEPER), start(SLEEPER, f"{marker}-other")
    assert [process.pid for process in processes.marked(marker)] == [ours.pid]


def test_a_child_that_lost_the_marker_belongs_to_the_cluster(marker: str, start: Start) -> None:
    start(PARENT)
    deadline = time.monotonic() + 10
    while len(processes.marked(marker)) < 2 and time.monotonic() < deadline:
        time.sleep(0.02)
    assert len(processes.marked(marker)) == 2
    assert processes.stop(marker, grace_s=2) == 2
    assert processes.marked(marker) == []


def test_what_ignores_sigterm_is_killed_after_the_grace(marker: str, start: Start) -> None:
    process = start(STUBBORN)
    assert process.stdout is not None
    process.stdout.readline()
    began = time.monotonic()
    assert processes.stop(marker, grace_s=0.3) == 1
    assert time.monotonic() - began >= 0.3
    assert processes.marked(marker) == []


def test_where_looking_takes_longer_than_the_grace_it_is_killed_all_the_same(
    marker: str, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a busy machine the second look came after twice the grace, and stopping gave up with nothing killed."""
    process = start(STUBBORN)
    assert process.stdout is not None
    process.stdout.readline()
    look = processes.marked

    def slowly(cluster_id: str) -> list[psutil.Process]:
        time.sleep(0.1)
        return look(cluster_id)

    monkeypatch.setattr(processes, "marked", slowly)
    assert processes.stop(marker, grace_s=0.02) == 1
    assert look(marker) == []


def test_stopping_nothing_is_instant(marker: str) -> None:
    assert processes.stop(marker) == 0


def test_a_cluster_without_rays_daemons_is_dead(marker: str, start: Start) -> None:
    start(SLEEPER)
    assert not processes.is_alive(marker)


def test_usage_counts_processes_and_their_memory(marker: str, start: Start) -> None:
    start(SLEEPER)
    found = processes.usage(marker)
    assert found.processes == 1
    assert found.memory_bytes <= psutil.virtual_memory().total
