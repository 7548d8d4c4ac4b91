"""The processes of one cluster: every one carries HELIOSTAT_CLUSTER=<id> in its environment.

Ray's daemons, workers, jobs and HAProxy inherit it, so a cluster is stopped by what it started and by nothing
else: no `ray stop`, which ends every Ray on the machine, and no orphan left over.
"""

import os
import time
from dataclasses import dataclass

import psutil

from cluster.ports import Listener

MARKER = "HELIOSTAT_CLUSTER"
GRACE_S = 8.0  # Ray's daemons and vLLM end within about three seconds of SIGTERM


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """What the processes of a cluster take. memory_bytes: resident, shared pages counted once a process."""

    processes: int
    memory_bytes: int


def marked(cluster_id: str) -> list[psutil.Process]:
    """The live processes of a cluster; never the caller itself."""
    return [process for process, value in _markers() if value == cluster_id and process.pid != os.getpid()]


def daemons(cluster_id: str) -> dict[str, int]:
    """Process ids of Ray's two pillars, by name; a cluster without both is dead."""
    names = {"gcs_server", "raylet"}
    found: dict[str, int] = {}
    for process in marked(cluster_id):
        try:
            name = process.name()
        except psutil.Error:
            continue
        if name in names:
            found[name] = process.pid
    return found


def is_alive(cluster_id: str) -> bool:
    """Whether the cluster's Ray still runs."""
    return len(daemons(cluster_id)) == 2


def stop(cluster_id: str, *, grace_s: float = GRACE_S) -> int:
    """End all processes of a cluster: SIGTERM, then SIGKILL for what outlives the grace. Returns how many."""
    stopped: set[int] = set()
    deadline = time.monotonic() + grace_s
    told: set[int] = set()
    while True:
        # Looked up anew each round: a dying raylet may just have started one more worker.
        alive = marked(cluster_id)
        if not alive:
            return len(stopped)
        late = time.monotonic() > deadline
        for process in alive:
            stopped.add(process.pid)
            if process.pid in told and not late:
                continue
            told.add(process.pid)
            _signal(process, kill=late)
        psutil.wait_procs(alive, timeout=0.1)
        if time.monotonic() > deadline + grace_s:
            return len(stopped)


def listeners(cluster_id: str) -> tuple[Listener, ...]:
    """Every TCP port that the cluster's processes listen on."""
    found = []
    for process in marked(cluster_id):
        try:
            name = process.name()
            connections = process.net_connections(kind="tcp")
        except psutil.Error:
            continue
        found += [
            Listener(host=item.laddr.ip, port=item.laddr.port, pid=process.pid, name=name)
            for item in connections
            if item.status == psutil.CONN_LISTEN
        ]
    return tuple(found)


def usage(cluster_id: str) -> Usage:
    """How many processes the cluster has, and how much memory they hold."""
    sizes = []
    for process in marked(cluster_id):
        try:
            sizes.append(process.memory_info().rss)
        except psutil.Error:
            continue
    return Usage(processes=len(sizes), memory_bytes=sum(sizes))


def _markers() -> list[tuple[psutil.Process, str]]:
    found = []
    for process in psutil.process_iter():
        try:
            if process.status() == psutil.STATUS_ZOMBIE:
                continue
            value = process.environ().get(MARKER)
        except (psutil.Error, OSError):
            continue  # gone meanwhile, or another user's
        if value:
            found.append((process, value))
    return found


def _signal(process: psutil.Process, *, kill: bool) -> None:
    try:
        if kill:
            process.kill()
        else:
            process.terminate()
    except psutil.Error:
        return
