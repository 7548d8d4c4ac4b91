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
STORES = """
import signal, sys, time

def store(*_):
    time.sleep(0.2)
    print("stored", flush=True)
    sys.exit()

signal.signal(signal.SIGTERM, store)
print(".", flush=True)
time.sleep(60)
"""
LOOKS = """
import signal, sys, time
import psutil

def state(pid):
    return psutil.Process(pid).status() if psutil.pid_exists(pid) else "gone"

def store(*_):
    time.sleep(0.1)
    print(*(state(int(pid)).replace("zombie", "gone") for pid in sys.argv[2:]), flush=True)
    sys.exit()

signal.signal(signal.SIGTERM, store)
print(".", flush=True)
time.sleep(60)
"""
# What Ray's does to its workers, within milliseconds of the signal.
RAYLET = """
import os, signal, sys, time

def stop(*_):
    for pid in sys.argv[2:]:
        os.kill(int(pid), signal.SIGKILL)
    sys.exit()

signal.signal(signal.SIGTERM, stop)
print(".", flush=True)
time.sleep(60)
"""
REPLICA, RAYLETS, CONTROLLER, PROXY = (
    "ray::ServeReplica:app:Gateway",
    "/ray/core/src/ray/raylet/raylet",
    "ray::ServeController",
    "ray::ProxyActor",
)
PARENT = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {SLEEPER!r}], env={{}})"


@pytest.fixture
def marker() -> str:
    return f"test-{uuid.uuid4()}"


@pytest.fixture
def start(marker: str) -> Iterator[Start]:
    """Starts a script under a marker; whatever the test finds, no process and no pipe of it is left."""
    started: list[subprocess.Popen[str]] = []

    def run(script: str, *title: str, marker: str = marker) -> subprocess.Popen[str]:
        environment = {**os.environ, processes.MARKER: marker}
        command = [sys.executable, "-c", script, *title]
        child = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
        started.append(child)
        return child

    yield run
    for process in processes.marked(marker):
        process.kill()
    for child in started:
        child.kill()
        child.communicate()


def said(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def test_only_processes_with_the_marker_are_found(marker: str, start: Start) -> None:
    ours, _other = start(SLEEPER), start(SLEEPER, marker=f"{marker}-other")
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
    assert said(process) == "."
    began = time.monotonic()
    assert processes.stop(marker, grace_s=0.3) == 1
    assert time.monotonic() - began >= 0.3
    assert processes.marked(marker) == []


def test_a_replica_stores_what_it_holds_before_its_raylet_is_told_to_stop(marker: str, start: Start) -> None:
    """All were told at once, and the raylet killed the gateways before they had stored what they had counted."""
    replica = start(STORES, REPLICA)
    assert said(replica) == "."
    raylet = start(RAYLET, RAYLETS, str(replica.pid))
    assert said(raylet) == "."
    assert processes.stop(marker, grace_s=0.05) == 2
    assert said(replica) == "stored"


def test_nothing_is_let_in_and_nothing_started_anew_while_a_replica_stores(marker: str, start: Start) -> None:
    controller, proxy = start(SLEEPER, CONTROLLER), start(STUBBORN, PROXY)
    assert said(proxy) == "."
    replica = start(LOOKS, REPLICA, str(controller.pid), str(proxy.pid))
    assert said(replica) == "."
    assert processes.stop(marker) == 3
    assert said(replica) == "stopped gone"


def test_where_stopping_is_interrupted_nothing_is_left_standing_still(
    marker: str, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever asked the cluster's controller for anything after Ctrl-C at `heliostat down` waited for ever."""
    controller, replica = start(SLEEPER, CONTROLLER), start(STUBBORN, REPLICA)
    assert said(replica) == "."

    def becomes(standing: bool) -> bool:
        deadline = time.monotonic() + 5
        while (is_so := psutil.Process(controller.pid).status() == psutil.STATUS_STOPPED) != standing:
            if time.monotonic() > deadline:
                break
            time.sleep(0.005)
        return is_so == standing

    def interrupted(*_: object, **__: object) -> None:
        assert becomes(standing=True)
        raise KeyboardInterrupt

    monkeypatch.setattr(psutil, "wait_procs", interrupted)
    with pytest.raises(KeyboardInterrupt):
        processes.stop(marker)
    assert becomes(standing=False)


def test_a_replica_that_cannot_hear_is_killed_in_the_end(marker: str, start: Start) -> None:
    replica = start(STUBBORN, REPLICA)
    assert said(replica) == "."
    assert processes.stop(marker, grace_s=0.1, holding_s=0.2) == 1
    assert processes.marked(marker) == []


def test_where_looking_takes_longer_than_the_grace_it_is_killed_all_the_same(
    marker: str, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a busy machine the second look came after twice the grace, and stopping gave up with nothing killed."""
    process = start(STUBBORN)
    assert said(process) == "."
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
