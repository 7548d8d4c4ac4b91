"""A start that is interrupted, at any moment, leaves no process, port, folder or state behind."""

import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest
import yaml

from cluster.errors import NotRunning
from cluster.runtime.ports import BLOCK
from cluster.runtime.ray_node import SHORT_TEMP
from cluster.runtime.state import read_state, state_file
from tests.live.starting import marked_ids, scripted, start

ENDS_WITHIN_S = 60  # a stop takes 4 to 10 s on 2 busy cores


@dataclass(frozen=True, slots=True, kw_only=True)
class Left:
    """What a machine has of clusters, all of them together."""

    clusters: frozenset[str]
    folders: frozenset[Path]

    @classmethod
    def now(cls) -> "Left":
        places = {Path(tempfile.gettempdir()), Path(SHORT_TEMP)}
        return cls(
            clusters=frozenset(marked_ids()),
            folders=frozenset(folder for place in places for folder in place.glob("hs-*")),
        )


def listening() -> set[int]:
    found = psutil.net_connections(kind="tcp")
    return {item.laddr.port for item in found if item.status == psutil.CONN_LISTEN}


def block_of(home: Path) -> range:
    """The ports of the start on this home; none where it had not come so far."""
    try:
        first = int(read_state(home).address.rpartition(":")[2])
    except NotRunning:
        return range(0)
    return range(first, first + BLOCK)


def ended(process: subprocess.Popen[str]) -> int:
    try:
        return process.wait(ENDS_WITHIN_S)
    finally:
        process.kill()  # one that hangs may not fail the tests after it too
        process.wait()
        for pipe in (process.stdout, process.stderr):
            assert pipe is not None
            pipe.close()


def check_nothing_left(home: Path, config: Path, block: range, before: Left) -> None:
    assert Left.now() == before
    port = yaml.safe_load(config.read_text())["http_options"]["port"]
    assert listening().isdisjoint({port, *block})
    assert not state_file(home).exists()
    assert {file.name for file in (home / "run").glob("*")} <= {"lock", "logs"}
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", port)) != 0


def heard(process: subprocess.Popen[str]) -> None:
    process.send_signal(signal.SIGINT)


def repeated(process: subprocess.Popen[str]) -> None:
    """The second and the third fall into the cleaning up."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGINT):
        process.send_signal(number)
        time.sleep(0.3)


def unread(process: subprocess.Popen[str]) -> None:
    """The terminal closes: a start must not fail on what it has to say before it has cleaned up."""
    for pipe in (process.stdout, process.stderr):
        assert pipe is not None
        pipe.close()
    process.send_signal(signal.SIGHUP)


# Seconds after its beginning, or a word that it has said.
MOMENTS: list[tuple[float | str, Callable[[subprocess.Popen[str]], None]]] = [
    (1, heard),
    (3, repeated),
    (6, heard),
    (10, unread),
    (15, heard),
    ("controller", heard),
]


@pytest.mark.parametrize(("moment", "interrupt"), MOMENTS, ids=[str(moment) for moment, _ in MOMENTS])
def test_an_interrupt_at_any_moment_of_the_start_leaves_nothing(
    new_home: Path, moment: float | str, interrupt: Callable[[subprocess.Popen[str]], None]
) -> None:
    before = Left.now()
    config = scripted(new_home)
    process = start(new_home, config)
    if isinstance(moment, str):
        read_until(process, moment)
    else:
        time.sleep(moment)
    assert process.poll() is None, process.communicate()
    served = state_file(new_home).exists() and read_state(new_home).phase == "running"
    block = block_of(new_home)
    assert not isinstance(moment, str) or listening() & set(block), "the ports that must be free afterwards"
    interrupt(process)
    assert (ended(process) == 0) == served
    check_nothing_left(new_home, config, block, before)


def test_an_interrupt_is_heard_where_interrupts_were_ignored(new_home: Path) -> None:
    """A script's `heliostat up … &` starts like that. The start went on, and served for ever."""
    before = Left.now()
    config = scripted(new_home)
    process = start(new_home, config, preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_IGN))
    read_until(process, "Ray starting")
    time.sleep(1)
    block = block_of(new_home)
    assert block
    process.send_signal(signal.SIGINT)
    assert ended(process) != 0
    check_nothing_left(new_home, config, block, before)


def read_until(process: subprocess.Popen[str], word: str) -> None:
    assert process.stderr is not None
    seen: list[str] = []
    for line in process.stderr:
        seen.append(line)
        if word in line:
            return
    raise AssertionError(f"ended before it said {word!r}: {seen}")
