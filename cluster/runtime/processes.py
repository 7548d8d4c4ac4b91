"""The processes of one cluster: each carries HELIOSTAT_CLUSTER=<id> in its environment, or descends from one.

Ray's daemons, workers, jobs and HAProxy inherit it, so a cluster is stopped by what it started and by nothing
else: no `ray stop`, which ends every Ray on the machine, and no orphan left over. Descendants count because
some of Ray's processes overwrite their environment with their title.
"""

import contextlib
import os
import signal
import time
from collections.abc import Collection, Container, Mapping
from dataclasses import dataclass
from enum import Enum

import psutil

from cluster.runtime.ports import Listener

MARKER = "HELIOSTAT_CLUSTER"
GRACE_S = 4.0  # for what holds nothing of ours: engines, jobs
# A replica that holds something ends when it has stored it (sigterm.CLOSING_S at the most), any other within 1 s
# (sigterm.RAYS_S); longer than both lasts only one that cannot hear.
HOLDING_GRACE_S = 15.0
INFRASTRUCTURE_GRACE_S = 1.0
HOLDER = "ray::ServeReplica:"
CONTROLLER = "ray::ServeController"
DOOR = "ray::ProxyActor"
HAPROXY = "haproxy"
INFRASTRUCTURE = (
    "ray::",  # what is no replica and no proxy: Serve's and the jobs' keepers, idle workers, tasks
    "/ray/_private/workers/",  # a worker that starts
    "ray-dashboard",
    "/ray/dashboard/",
    "/ray/_private/log_monitor",
    "/ray/_private/runtime_env/agent",
    "/ray/autoscaler/_private/monitor",
    "/gcs/gcs_server",
    "/raylet/raylet",
    "multiprocessing.resource_tracker",
    "multiprocessing.forkserver",
)


class Role(Enum):
    """What a process is when its cluster stops, in the order in which a round comes to them."""

    CONTROLLER = "controller"
    DOOR = "door"
    HOLDER = "holder"
    OTHER = "other"
    INFRASTRUCTURE = "infrastructure"


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


def stop(cluster_id: str, *, grace_s: float = GRACE_S, holding_s: float = HOLDING_GRACE_S) -> int:
    """End all processes of a cluster: SIGTERM, then SIGKILL for what outlives its grace. Returns how many.

    The proxies first, and at once: nobody gets an answer after what the gateways store last. Serve's controller
    stands still meanwhile, or it would start them anew. Then all that may hold something: replicas get holding_s
    to store it, others grace_s. Ray's own processes last: a raylet that is told to stop kills all its workers
    at once. They hold nothing durable and wait for one another, so they get INFRASTRUCTURE_GRACE_S.
    """
    stopping = _Stopping(grace_s=grace_s, holding_s=holding_s)
    try:
        return _stop(cluster_id, stopping, grace_s)
    except BaseException:  # Ctrl-C: who asks after a cluster whose controller stands still would wait for ever
        stopping.let_go()
        raise


def _stop(cluster_id: str, stopping: "_Stopping", grace_s: float) -> int:
    killing_since: float | None = None
    while True:
        # Looked up anew each round: a dying raylet may just have started one more worker.
        alive = {process.pid: process for process in marked(cluster_id)}
        alive |= stopping.left(alive)
        now = time.monotonic()
        if not alive or (killing_since is not None and now - killing_since > grace_s):
            return stopping.count
        if stopping.go_on(alive.values(), now) and killing_since is None:
            killing_since = now
        psutil.wait_procs(alive.values(), timeout=0.1)


class _Stopping:
    """Who was told to stop, and since when. On a busy machine a round may take longer than a grace."""

    def __init__(self, *, grace_s: float, holding_s: float) -> None:
        self._graces = {
            Role.HOLDER: holding_s,
            Role.OTHER: grace_s,
            Role.INFRASTRUCTURE: INFRASTRUCTURE_GRACE_S,
        }
        self._longest_s = max(grace_s, holding_s)
        self._told: dict[int, tuple[psutil.Process, float]] = {}
        self._began: float | None = None
        self._standing: list[psutil.Process] = []

    @property
    def count(self) -> int:
        """How many were told."""
        return len(self._told)

    def left(self, found: Container[int]) -> dict[int, psutil.Process]:
        """Those that were told and live, and were not found again: who loses its parent may lose its mark."""
        told = {pid: process for pid, (process, _) in self._told.items() if pid not in found}
        return {pid: process for pid, process in told.items() if _is_live(process)}

    def let_go(self) -> None:
        """Have what stands still go on."""
        for process in self._standing:
            _signal(process, signal.SIGCONT)

    def go_on(self, alive: Collection[psutil.Process], now: float) -> bool:
        """One round, in order. Returns whether all that is left was told SIGKILL."""
        began = self._began = self._began or now
        roles = {process: _role(process) for process in alive}
        house = {Role.CONTROLLER, Role.INFRASTRUCTURE}
        last = now - began > self._longest_s or house.issuperset(roles.values())
        killed = True
        for process, role in sorted(roles.items(), key=lambda item: _ORDER[item[1]]):
            if role in house and not last:
                killed = False
                if role is Role.CONTROLLER and process not in self._standing:
                    self._standing.append(process)
                    _signal(process, signal.SIGSTOP)
                continue
            since = self._told.get(process.pid, (process, now))[1]
            # A controller that stands still would not hear.
            late = role in (Role.DOOR, Role.CONTROLLER) or now - since > self._graces[role]
            late = late or now - began > self._longest_s
            if late or process.pid not in self._told:
                _signal(process, signal.SIGKILL if late else signal.SIGTERM)
            self._told.setdefault(process.pid, (process, now))
            killed = killed and late
        return killed


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


def _role(process: psutil.Process) -> Role:
    try:
        name, title = process.name(), " ".join(process.cmdline())
    except psutil.Error:
        return Role.INFRASTRUCTURE
    if DOOR in title or name == HAPROXY:
        return Role.DOOR
    if HOLDER in title:
        return Role.HOLDER
    if CONTROLLER in title:
        return Role.CONTROLLER
    return Role.INFRASTRUCTURE if any(word in title for word in INFRASTRUCTURE) else Role.OTHER


def _signal(process: psutil.Process, number: signal.Signals) -> None:
    with contextlib.suppress(psutil.Error):
        process.send_signal(number)


_ORDER = {role: place for place, role in enumerate(Role)}
