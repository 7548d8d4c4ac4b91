"""What runs: the cluster, its applications, deployments, replicas, models and processes."""

import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import httpx

from cluster.config import credentials
from cluster.errors import ClusterError
from cluster.runtime import processes
from cluster.runtime.dashboard import open_dashboard
from cluster.runtime.lifecycle import current
from cluster.runtime.readiness import Part, look
from cluster.runtime.state import ClusterState

EXIT_DEGRADED, EXIT_NOT_RUNNING = 1, 3


@dataclass(frozen=True, slots=True, kw_only=True)
class ApplicationStatus:
    """One Serve application."""

    name: str
    status: str
    route: str | None
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterStatus:
    """All of it. status: `running`, `starting` or `degraded`; problem says why, in one line.

    started: Unix seconds; uptime_s: seconds. memory_bytes: resident, of all processes; 0 for a joined cluster,
    whose processes are not ours to count.
    """

    status: str
    url: str
    dashboard: str
    address: str
    kind: str
    home: str
    config: str
    started: float
    uptime_s: float
    models: tuple[str, ...]
    applications: tuple[ApplicationStatus, ...]
    deployments: tuple[Part, ...]
    processes: int
    memory_bytes: int
    problem: str = ""

    def as_json(self) -> dict[str, Any]:
        """Plain dicts and lists."""
        return asdict(self)


def gather(folder: Path | None = None) -> ClusterStatus:
    """Look at the home's cluster. Raises NotRunning or StaleCluster; what does not answer is a problem."""
    state = current(folder)
    problems: list[str] = []
    try:
        with open_dashboard(state) as dashboard:
            details = dashboard.details()
    except ClusterError as error:
        details = {}
        problems.append(error.message)
    known = details.get("applications") or {}
    readiness = look(details, state.applications)
    problems += [
        f"{part.name} is {part.state} {part.problem}".strip() for part in readiness.parts if not part.running
    ]
    problems += [
        f"application {name!r} is not deployed" for name in state.applications if details and name not in known
    ]
    models = _models(state.url)
    if models is None:
        problems.append(f"{state.url} does not answer")
    usage = processes.usage(state.id)
    status = "running" if not problems else "degraded" if state.phase == "running" else "starting"
    return ClusterStatus(
        status=status,
        url=state.url,
        dashboard=state.dashboard,
        address=state.address,
        kind=state.kind,
        home=state.home,
        config=state.config,
        started=state.started,
        uptime_s=round(time.time() - state.started, 1),
        models=models or (),
        applications=tuple(_application(name, item) for name, item in known.items() if name in state.applications),
        deployments=readiness.parts,
        processes=usage.processes,
        memory_bytes=usage.memory_bytes,
        problem="; ".join(problems),
    )


def connection_lines(state: ClusterState) -> tuple[str, ...]:
    """Shell lines that let `ray status` and `serve status` reach the cluster."""
    variables = {
        "RAY_ADDRESS": state.address,
        "RAY_API_SERVER_ADDRESS": state.dashboard,
        "RAY_DASHBOARD_ADDRESS": state.dashboard,  # the name that `serve status` reads
    }
    variables |= {name: text for name, text in state.environment.items() if not name.startswith("RAY_SERVE_")}
    return tuple(f"export {name}='{text}'" for name, text in variables.items())


def _application(name: str, item: dict[str, Any]) -> ApplicationStatus:
    return ApplicationStatus(
        name=name, status=item.get("status", ""), route=item.get("route_prefix"), message=item.get("message") or ""
    )


def _models(url: str) -> tuple[str, ...] | None:
    """Ids of the models that the endpoint serves; None where it does not answer."""
    try:
        answer = httpx.get(f"{url}/v1/models", headers=credentials(), timeout=5.0, trust_env=False)
        answer.raise_for_status()
        return tuple(item["id"] for item in answer.json()["data"])
    except httpx.HTTPStatusError as error:
        # No such route, or a key is wanted: somebody answers.
        return () if error.response.status_code < 500 else None
    except (httpx.HTTPError, ValueError, KeyError, TypeError):
        return None
