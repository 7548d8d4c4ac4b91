"""Handing a document to Ray Serve, and waiting until its endpoint answers."""

import time
from pathlib import Path

import httpx

from cluster.console.progress import Progress
from cluster.errors import StartFailed
from cluster.runtime import processes
from cluster.runtime.dashboard import open_dashboard
from cluster.runtime.document import Document
from cluster.runtime.interrupts import Interrupts
from cluster.runtime.readiness import Outcome, Readiness, look
from cluster.runtime.state import ClusterState, run_folder

LOOK_S = 0.5  # between two looks at Serve's state; each costs its controller a few milliseconds
ROUTE_LOOK_S = 0.1


def deploy(state: ClusterState, document: Document, progress: Progress) -> None:
    """Hand the document to Serve, whose controller and proxies start with the first one."""
    began = time.monotonic()
    progress.waiting("Ray Serve's controller and proxy starting")
    with open_dashboard(state) as dashboard:
        dashboard.deploy(document.body)
    progress.done("Ray Serve", time.monotonic() - began)


def wait_ready(
    state: ClusterState, document: Document, progress: Progress, deadline: float, interrupts: Interrupts
) -> None:
    """Wait until all applications run and the endpoint routes to ours. Raises StartFailed."""
    began = time.monotonic()
    with open_dashboard(state) as dashboard:
        while True:
            interrupts.check()
            found = look(dashboard.details(), document.applications)
            if found.outcome is Outcome.READY:
                break
            if found.outcome is Outcome.FAILED:
                raise StartFailed(found.reason, hint=f"log: {_log_of(state, found)}")
            _in_time(state, found.waiting_for(), progress, deadline)
            time.sleep(LOOK_S)
    while not _routes(state.url, document.route):
        interrupts.check()
        _in_time(state, "the HTTP route", progress, deadline)
        time.sleep(ROUTE_LOOK_S)
    progress.done("applications", time.monotonic() - began)


def _log_of(state: ClusterState, found: Readiness) -> Path:
    logs = run_folder(Path(state.home)) / "logs" if state.kind == "own" else Path("<Ray's logs>")
    return logs / found.log.lstrip("/") if found.log else logs / "serve"


def _in_time(state: ClusterState, waiting_for: str, progress: Progress, deadline: float) -> None:
    progress.waiting(waiting_for)
    if time.monotonic() > deadline:
        raise StartFailed(f"not ready in time; still waiting for {waiting_for}", hint="a longer --timeout")
    if state.kind == "own" and not processes.is_alive(state.id):
        raise StartFailed("Ray died during the start", hint=f"logs: {run_folder(Path(state.home)) / 'logs'}")


def _routes(url: str, route: str) -> bool:
    """Whether the endpoint already sends requests to our application."""
    try:
        answer = httpx.get(f"{url}/-/routes", timeout=2.0, trust_env=False)
        return answer.is_success and route in answer.json()
    except (httpx.HTTPError, ValueError):
        return False
