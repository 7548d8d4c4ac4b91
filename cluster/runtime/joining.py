"""Joining a Ray cluster that somebody else started: our applications go in beside what runs there, and out."""

import contextlib
import copy
import logging
import os
import time
import uuid
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from cluster.config import environment
from cluster.console.progress import Progress
from cluster.errors import ClusterError, Conflict, StartFailed
from cluster.runtime.dashboard import Dashboard, open_dashboard
from cluster.runtime.deploying import deploy, wait_ready
from cluster.runtime.document import Document, endpoint, refuse_open
from cluster.runtime.interrupts import Interrupts
from cluster.runtime.ray_node import python_path
from cluster.runtime.state import NAMESPACE, ClusterState, remove_state, write_state

LEAVE_TIMEOUT_S = 90.0  # in HAProxy mode Serve drains an application for 30 s before it deletes it


@dataclass(frozen=True, slots=True, kw_only=True)
class Joining:
    """Which Ray to join, for which home. address: host:port of its GCS, or `auto`. timeout_s: in all."""

    address: str
    config: Path
    home: Path
    timeout_s: float


def join(options: Joining, document: Document, progress: Progress, interrupts: Interrupts) -> ClusterState:
    """Deploy into a running Ray cluster. Raises StartFailed, or Conflict where a name is taken there."""
    began = time.monotonic()
    progress.waiting(f"joining Ray at {options.address}")
    address, dashboard_url = _find(options.address)
    interrupts.listen()  # Ray's client has taken SIGTERM
    state = ClusterState(
        id=str(uuid.uuid4()),
        kind="joined",
        phase="starting",
        address=address,
        url=document.url,
        dashboard=dashboard_url,
        application=document.application,
        applications=document.applications,
        home=str(options.home),
        config=str(options.config.absolute()),
        started=time.time(),
        token_path=_token_path(),
        environment={name: value for name, value in environment().items() if name in _CARRIED},
    )
    with open_dashboard(state) as dashboard:
        details = dashboard.details()
    merged, state = _beside(document, state, details, progress)
    interrupts.hold()  # until the state file names what is deployed
    try:
        write_state(state)
        with interrupts.heard():
            progress.done("Ray", time.monotonic() - began)
            deploy(state, merged, progress)
            wait_ready(state, merged, progress, began + options.timeout_s, interrupts)
            progress.done("ready", time.monotonic() - began)
        state = replace(state, phase="running")
        write_state(state)
    except BaseException:
        with contextlib.suppress(OSError):  # the terminal may be what has gone
            progress.waiting("taking our applications out again")
        leave(state)
        raise
    return state


def leave(state: ClusterState) -> bool:
    """Delete our applications, end Serve if we started it, leave Ray alone. False: the cluster was gone."""
    with open_dashboard(state) as dashboard:
        alive = dashboard.is_up()
        if alive:
            _take_out(dashboard, state)
    remove_state(Path(state.home))
    return alive


_DEFAULT_TOKEN = Path("~/.ray/auth_token")
# Names only: a token given by value is never written to the state file.
_CARRIED = frozenset({"RAY_AUTH_MODE", "RAY_AUTH_TOKEN_PATH", "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"})


def _take_out(dashboard: Dashboard, state: ClusterState) -> None:
    others = _others(dashboard.details(), state.applications)
    if not others and state.serve_started:
        dashboard.shut_serve_down()
        return
    dashboard.deploy({"applications": others})
    deadline = time.monotonic() + LEAVE_TIMEOUT_S
    while set(state.applications) & set(dashboard.details().get("applications") or {}):
        if time.monotonic() > deadline:
            raise ClusterError(f"Serve still drains our applications after {LEAVE_TIMEOUT_S:.0f} s")
        time.sleep(0.5)


def _beside(
    document: Document, state: ClusterState, details: dict[str, Any], progress: Progress
) -> tuple[Document, ClusterState]:
    """Our document joined with the applications already there, which a REST deploy would delete otherwise."""
    known = details.get("applications") or {}
    clash = sorted(set(known) & set(document.applications))
    if clash:
        raise Conflict(
            f"the cluster already serves an application named {clash[0]!r}", hint="another `name` in the config"
        )
    body = copy.deepcopy(document.body)
    _make_importable(body)
    running = details.get("http_options") if details.get("controller_info", {}).get("actor_id") else None
    state = replace(state, serve_started=running is None)
    if running is not None:
        host, port = running.get("host", document.host), int(running.get("port", document.port))
        refuse_open(host, authenticated=document.authenticated, origin="the Ray Serve that runs there")
        if (host, port) != (document.host, document.port):
            progress.say(f"Ray Serve already listens on {host}:{port} there; the config's http_options are unused")
        body["http_options"] = {**body["http_options"], "host": host, "port": port}
        state = replace(state, url=endpoint(host, port))
    body["applications"] = _others(details, document.applications) + body["applications"]
    return replace(document, body=body), state


def _others(details: dict[str, Any], ours: tuple[str, ...]) -> list[dict[str, Any]]:
    """Configs of the applications that were deployed by config and are not ours."""
    known = details.get("applications") or {}
    return [
        item["deployed_app_config"]
        for name, item in known.items()
        if name not in ours and item.get("deployed_app_config")
    ]


def _make_importable(body: dict[str, Any]) -> None:
    """From a bare checkout, workers of a Ray that we did not start need our folder on their path."""
    path = python_path(environment())
    if not path:
        return
    for application in body["applications"]:
        runtime = application.setdefault("runtime_env", {})
        if "working_dir" not in runtime and "py_modules" not in runtime:
            variables = runtime.setdefault("env_vars", {})
            variables.setdefault("PYTHONPATH", path)


def _find(address: str) -> tuple[str, str]:
    """The GCS address and the dashboard's URL of a running Ray. Raises StartFailed."""
    import ray
    from ray._private.worker import get_dashboard_url

    try:
        ray.init(address=address, namespace=NAMESPACE, log_to_driver=False, logging_level=logging.ERROR)
    except (ConnectionError, RuntimeError, ValueError) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise StartFailed(
            f"no Ray cluster answers at {address}: {reason}", hint="host:port of its GCS, and RAY_AUTH_TOKEN_PATH"
        ) from None
    try:
        url = get_dashboard_url()  # type: ignore[no-untyped-call]
        found = ray.get_runtime_context().gcs_address
    finally:
        ray.shutdown()
    if not url:
        raise StartFailed(
            f"the Ray cluster at {address} runs without a dashboard", hint="ray start --include-dashboard=true"
        )
    return found, f"http://{url}"


def take_up_token() -> None:
    """Turn token authentication on where this user has a token, as `ray start` does.

    Call it before Ray is imported. Ray's own client does so too, but only after its core has read the mode:
    it then asks without the token.
    """
    if "RAY_AUTH_MODE" not in environment() and _DEFAULT_TOKEN.expanduser().is_file():
        os.environ["RAY_AUTH_MODE"] = "token"


def _token_path() -> str | None:
    """The token file that Ray itself would take, where token authentication is on."""
    variables = environment()
    if variables.get("RAY_AUTH_TOKEN_PATH"):
        return variables["RAY_AUTH_TOKEN_PATH"]
    default = _DEFAULT_TOKEN.expanduser()
    return str(default) if variables.get("RAY_AUTH_MODE") == "token" and default.is_file() else None
