"""The processes of one cluster: each carries HELIOSTAT_CLUSTER=<id> in its environment, or descends from one.

Ray's daemons, workers, jobs and HAProxy inherit it, so a cluster is stopped by what it started and by nothing
else: no `ray stop`, which ends every Ray on the machine, and no orphan left over. Descendants count because
some of Ray's processes overwrite their environment with their title.
"""

import contextlib
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass

import psutil

from cluster.runtime.ports import Listener

MARKER = "HELIOSTAT_CLUSTER"
# Replicas that hold something (vectors, engines) end within 1 s of SIGTERM; one that called others through a
# handle may wait for ever on Ray's dying daemons.
GRACE_S = 4.0
INFRASTRUCTURE_GRACE_S = 1.0
INFRASTRUCTURE = (
    "ray::ServeController",
    "ray::ProxyActor",
    "ray::HAProxyManager",
    "ray::DashboardAgent",
    "ray::RuntimeEnvAgent",
    "ray::IDLE",
    "ray-dashboard",
    "/ray/dashboard/",
    "/ray/_private/log_monitor",
    "/ray/autoscaler/_private/monitor",
    "/gcs/gcs_server",
    "/raylet/raylet",
    "multiprocessing.resource_tracker",
    "multiprocessing.forkserver",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """What the processes of a cluster take. memory_bytes: resident, shared pages counted once a process."""

    processes: int
    memory_bytes: int


def marked(cluster_id: str) -> list[psutil.Process]:
    """The live processes of a cluster; never the caller itself."""
    found = {process.pid: process for process in psutil.process_iter() if _marker(process) == cluster_id}
    for process in list(found.values()):
        with contextlib.suppress(psutil.Error):
            found |= {child.pid: child for child in process.children(recursive=True) if _is_live(child)}
    found.pop(os.getpid(), None)
    return list(found.values())


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


def are_running(pids: Mapping[str, int]) -> bool:
    """Whether the named processes are still the ones that they were; far cheaper than a search by marker."""
    for name, pid in pids.items():
        try:
            process = psutil.Process(pid)
            if process.name() != name or not _is_live(process):
                return False
        except psutil.Error:
            return False
    return True


def is_alive(cluster_id: str) -> bool:
    """Whether the cluster's Ray still runs."""
    return len(daemons(cluster_id)) == 2


def stop(cluster_id: str, *, grace_s: float = GRACE_S) -> int:
    """End all processes of a cluster: SIGTERM, then SIGKILL for what outlives its grace. Returns how many.

    Replicas and jobs get grace_s to finish what they write; Ray's own processes hold nothing durable, and wait
    for one another when all are told to stop, so they get INFRASTRUCTURE_GRACE_S after the last of the others.
    """
    told: dict[int, psutil.Process] = {}
    began: float | None = None  # counted in rounds as well: on a busy machine one may take longer than the grace
    killing_since: float | None = None
    infrastructure_since = 0.0
    while True:
        # Looked up anew each round: a dying raylet may just have started one more worker.
        alive = {process.pid: process for process in marked(cluster_id)}
        alive |= {pid: process for pid, process in told.items() if pid not in alive and _is_live(process)}
        now = time.monotonic()
        if not alive or (killing_since is not None and now - killing_since > grace_s):
            return len(told)
        if began is None:
            began = infrastructure_since = now
        if any(not _is_infrastructure(process) for process in alive.values()):
            infrastructure_since = now
        if killing_since is None and now - began > grace_s:
            killing_since = now
        for pid, process in alive.items():
            late = killing_since is not None or now - infrastructure_since > INFRASTRUCTURE_GRACE_S
            if late or pid not in told:
                told[pid] = process
                _signal(process, kill=late)
        psutil.wait_procs(alive.values(), timeout=0.1)


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


def _marker(process: psutil.Process) -> str | None:
    try:
        return process.environ().get(MARKER) if _is_live(process) else None
    except (psutil.Error, OSError):
        return None  # gone meanwhile, or another user's


def _is_live(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


def _is_infrastructure(process: psutil.Process) -> bool:
    try:
        title = " ".join(process.cmdline())
    except psutil.Error:
        return True
    return any(word in title for word in INFRASTRUCTURE)


def _signal(process: psutil.Process, *, kill: bool) -> None:
    try:
        if kill:
            process.kill()
        else:
            process.terminate()
    except psutil.Error:
        return
