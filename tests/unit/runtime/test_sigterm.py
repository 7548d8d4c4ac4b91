"""What a process holds is closed when it is told to stop, before it ends: each test has one, as Ray's worker is."""

import subprocess
import sys
from collections.abc import Callable, Iterator

import pytest

from cluster.runtime.sigterm import STOP

# The main thread waits as Ray's does, with a handler that ends it; the replica lives in the loop of another.
WORKER = """
import asyncio, os, signal, sys, threading, time
from cluster.runtime.sigterm import Stop

ready = threading.Event()
stop = Stop(closing_s=0.3, rays_s=0.1)

def rays(number, frame):
    print("Ray's end", flush=True)
    {rays}

class Replica:
    {replica}

async def lives():
    for _ in range({count}):
        stop.hold(Replica())
    print("ready", flush=True)
    ready.set()
    await asyncio.sleep(60)

signal.signal(signal.SIGTERM, stop.before(rays))
threading.Thread(target=lambda: asyncio.run(lives()), daemon=True).start()
ready.wait()
{main}
while True:
    time.sleep(0.005)  # a signal is heard between two steps of Python
"""
STORES = "async def __del__(self): await asyncio.sleep(0.05); print('stored', flush=True)"
Start = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts a worker and waits until its replica lives."""
    started: list[subprocess.Popen[str]] = []

    def run(replica: str = STORES, *, rays: str = "sys.exit(1)", count: int = 1, main: str = "") -> object:
        script = WORKER.format(replica=replica, rays=rays, count=count, main=main)
        child = subprocess.Popen(
            [sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        started.append(child)
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
        return child

    yield run  # type: ignore[misc]
    for child in started:
        child.kill()
        child.communicate()


def ended(worker: subprocess.Popen[str]) -> tuple[int, list[str]]:
    said, _ = worker.communicate(timeout=10)
    return worker.returncode, said.splitlines()


def test_what_a_replica_holds_is_stored_before_its_process_ends(start: Start) -> None:
    """Ray ended the process at once: the lifespans of a gateway's app had never been closed by `heliostat down`."""
    worker = start()
    worker.terminate()
    assert ended(worker) == (0, ["stored"])


def test_a_second_signal_hurries_nobody(start: Start) -> None:
    worker = start("async def __del__(self): print('begun', flush=True); await asyncio.sleep(0.1); print('stored')")
    worker.terminate()
    assert worker.stdout is not None
    assert worker.stdout.readline() == "begun\n"
    worker.terminate()
    assert ended(worker) == (0, ["stored"])


def test_one_that_fails_or_never_ends_holds_nothing_else_back(start: Start) -> None:
    worker = start("def __del__(self): 1 / 0", count=2)
    worker.terminate()
    assert ended(worker) == (0, [])
    worker = start("async def __del__(self): await asyncio.sleep(60)")
    worker.terminate()
    assert ended(worker) == (0, [])


def test_a_worker_that_holds_nothing_ends_as_ray_ends_it(start: Start) -> None:
    worker = start(count=0)
    worker.terminate()
    assert ended(worker) == (1, ["Ray's end"])


def test_where_rays_own_end_waits_for_others_it_ends_all_the_same(start: Start) -> None:
    worker = start(count=0, rays="pass")
    worker.terminate()
    assert ended(worker) == (0, ["Ray's end"])


def test_a_forked_child_ends_as_ray_ends_it(start: Start) -> None:
    """It holds a copy of what its parent has, and a loop in which nothing runs any more."""
    fork = "if os.fork() == 0: signal.raise_signal(signal.SIGTERM)\nos.wait(); print('gone', flush=True)"
    worker = start(main=fork)
    assert worker.stdout is not None
    assert [worker.stdout.readline() for _ in range(2)] == ["Ray's end\n", "gone\n"]
    worker.terminate()
    assert ended(worker) == (0, ["stored"])


async def test_in_a_process_whose_sigterm_is_not_ours_nothing_is_held() -> None:
    STOP.hold(object())
    assert STOP._held == []
