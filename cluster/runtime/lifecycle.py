"""Start, join, connect to and stop the cluster of one home.

`up` starts our own Ray on loopback (or joins one by address), deploys a Serve config and waits until it
answers. `down` stops exactly what `up` started. `connect` makes this process a driver of the cluster.
"""

import contextlib
import fcntl
import logging
import os
import shutil
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from cluster.config import environment, home, load_config
from cluster.console.progress import Progress
from cluster.errors import AlreadyRunning, NotRunning, StaleCluster
from cluster.runtime import processes, ray_node
from cluster.runtime.dashboard import open_dashboard
from cluster.runtime.deploying import deploy, wait_ready
from cluster.runtime.document import Document
from cluster.runtime.document import prepare as prepare_document
from cluster.runtime.interrupts import Interrupts
from cluster.runtime.joining import Joining, join, leave, take_up_token
from cluster.runtime.ports import claim, is_loopback
from cluster.runtime.state import NAMESPACE, ClusterState, read_state, remove_state, run_folder, write_state
from cluster.settings.tree import Settings

HOLD_LOOK_S = 0.5  # how soon Ctrl-C and a dead cluster are noticed


@dataclass(frozen=True, slots=True, kw_only=True)
class StartOptions:
    """How to start. port: overrides the config's. address: of a running Ray, or `auto`. timeout_s: in all."""

    config: Path
    port: int | None = None
    address: str | None = None
    plain_proxy: bool = False
    timeout_s: float = 300.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Stopped:
    """What `down` did. processes: how many it ended. stale: the cluster was already dead."""

    state: ClusterState
    processes: int
    stale: bool


def up(options: StartOptions, progress: Progress, interrupts: Interrupts) -> ClusterState:
    """Start or join, deploy, and return when the first request can be answered.

    Raises SettingsError, PortTaken, AlreadyRunning, StartFailed. Whatever goes wrong, an interrupt at any moment
    included, nothing that it started is left behind. Once it has returned, interrupts are only noted.
    """
    config = load_config(options.config)
    folder = config.settings.home_path
    with _starting(folder):
        _refuse_second(folder, progress)
        if options.address is not None:
            take_up_token()
        document = prepare_document(config, home=folder, port=options.port)
        if not document.authenticated:
            progress.say(f"WARNING: auth is off: all who reach {document.url} are admins (auth.mode: on)")
        if options.address is not None:
            if config.settings.stores.redis is not None:
                progress.say("stores.redis is not used: the joined Ray keeps its state where it was told to")
            joining = Joining(
                address=options.address, config=options.config, home=folder, timeout_s=options.timeout_s
            )
            return join(joining, document, progress, interrupts)
        return _start_own(options, config.settings, document, progress, interrupts)


def down(folder: Path) -> Stopped:
    """Stop the home's cluster. Raises NotRunning where there is none."""
    state = read_state(folder)
    if state.kind == "joined":
        return Stopped(state=state, processes=0, stale=not leave(state))
    stale = not processes.is_alive(state.id)
    return Stopped(state=state, processes=_clean(state), stale=stale)


def current(folder: Path | None = None) -> ClusterState:
    """The state of the home's living cluster. Raises NotRunning or StaleCluster."""
    state = read_state(folder or home())
    if not is_alive(state):
        raise StaleCluster(
            f"the cluster of {state.home} is dead, its state file is left", hint="heliostat down cleans up"
        )
    return state


def is_alive(state: ClusterState) -> bool:
    """Whether the cluster's Ray still runs."""
    if state.kind == "own":
        return processes.is_alive(state.id)
    with open_dashboard(state) as dashboard:
        return dashboard.is_up()


def connect(folder: Path | str | None = None) -> None:
    """Make this process a Ray driver of the home's cluster; a second call changes nothing.

    Call it before anything imports ray.serve, which reads its settings from the environment at import.
    Inside a Ray job on a cluster that has no state file here, the job's own address is taken.
    Raises NotRunning or StaleCluster.
    """
    try:
        state = current(Path(folder) if folder is not None else None)
        address, namespace, joined = state.address, state.namespace, state.kind == "joined"
        apply_environment(state)
    except NotRunning:
        job_address = environment().get("RAY_ADDRESS")
        if job_address is None:
            raise
        address, namespace, joined = job_address, NAMESPACE, True
    import ray

    if not ray.is_initialized():
        # The address is always explicit: a bare ray.init() joins any cluster that it finds on the machine.
        ray.init(
            address=address,
            namespace=namespace,
            log_to_driver=False,
            logging_level=logging.ERROR,
            runtime_env=_worker_environment(joined),
        )


def _worker_environment(joined: bool) -> dict[str, Any] | None:
    """Our folder on the path of a foreign Ray's workers; our own Ray has it, and a job brings it along."""
    path = ray_node.python_path(environment())
    if not joined or not path or "RAY_JOB_CONFIG_JSON_ENV_VAR" in environment():
        return None
    return {"env_vars": {"PYTHONPATH": path}}


def apply_environment(state: ClusterState) -> None:
    """Set what Ray's client libraries read from the environment to reach this cluster."""
    os.environ.update(state.environment)
    if "ray" in sys.modules and state.environment.get("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER") == "0":
        # Ray read the switch when it was imported; it is looked up at each use.
        import ray._private.ray_constants as constants

        constants.ENABLE_RAY_CLUSTER = False


def hold(state: ClusterState, stopping: Callable[[], bool]) -> bool:
    """Stay until `stopping()` or until the cluster is gone; returns whether it still lived at the end."""
    while not stopping():
        if not (processes.are_running(state.pids) if state.kind == "own" else is_alive(state)):
            return False
        time.sleep(HOLD_LOOK_S)
    return True


def _start_own(
    options: StartOptions, settings: Settings, document: Document, progress: Progress, interrupts: Interrupts
) -> ClusterState:
    began = time.monotonic()
    folder = settings.home_path
    claim(document.port, document.host)
    if not is_loopback(document.host):
        progress.say(f"WARNING: http_options.host is {document.host}: other machines can reach this server")
    plain = options.plain_proxy or environment().get("HELIOSTAT_PLAIN_PROXY", "") not in {"", "0"}
    interrupts.hold()  # until the state file names what was made
    node = ray_node.prepare(
        cluster_id=str(uuid.uuid4()), home=folder, plain_proxy=plain, redis=settings.stores.redis
    )
    state = _first_state(node, options.config, document)
    try:
        write_state(state)
        with interrupts.heard():
            progress.waiting("Ray starting")
            ray_node.finished(ray_node.start(node, environment()), node.logs)
            _link_logs(folder, node.logs)
            progress.done("Ray", time.monotonic() - began)
            interrupts.check()
            deploy(state, document, progress)
            wait_ready(state, document, progress, began + options.timeout_s, interrupts)
            progress.done("ready", time.monotonic() - began)
        state = replace(state, phase="running", pids=processes.daemons(state.id))
        write_state(state)
    except BaseException:
        with contextlib.suppress(OSError):  # the terminal may be what has gone
            progress.waiting("stopping what was started")
        _clean(state)
        raise
    return state


def _first_state(node: ray_node.RayNode, config: Path, document: Document) -> ClusterState:
    """Written before anything runs: whatever happens to this process, `down` finds what it started."""
    return ClusterState(
        id=node.cluster_id,
        kind="own",
        phase="starting",
        address=node.address,
        url=document.url,
        dashboard=node.dashboard,
        application=document.application,
        applications=document.applications,
        home=str(node.home),
        config=str(config.absolute()),
        started=time.time(),
        token_path=str(node.token_path),
        scratch=str(node.scratch),
        logs=str(node.logs),
        environment=node.connection(),
    )


@contextlib.contextmanager
def _starting(folder: Path) -> Iterator[None]:
    """One `up` at a time on a home."""
    run = run_folder(folder)
    run.mkdir(parents=True, exist_ok=True)
    with (run / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise AlreadyRunning(
                f"another `heliostat up` is starting on {folder}", hint="wait for it, or set HELIOSTAT_HOME"
            ) from None
        yield


def _refuse_second(folder: Path, progress: Progress) -> None:
    try:
        state = read_state(folder)
    except NotRunning:
        return
    except StaleCluster as error:
        remove_state(folder)
        progress.say(f"removed: {error.message}")
        return
    if is_alive(state):
        raise AlreadyRunning(
            f"a cluster already runs on {folder}: {state.url}",
            hint="heliostat down stops it; HELIOSTAT_HOME=… is another",
        )
    down(folder)
    progress.say(f"cleaned up after a cluster that died without `down` (started on {state.url})")


def _clean(state: ClusterState) -> int:
    """Stop an own cluster's processes and remove all but its logs, which stay under run/logs."""
    stopped = processes.stop(state.id)
    folder = Path(state.home)
    kept = run_folder(folder) / "logs"
    logs = Path(state.logs).resolve() if state.logs else None
    if logs is not None and logs.is_dir():
        _remove(kept)
        shutil.move(logs, kept)
    shutil.rmtree(run_folder(folder) / "ray", ignore_errors=True)
    if state.scratch is not None:
        shutil.rmtree(state.scratch, ignore_errors=True)
    if state.token_path is not None:
        Path(state.token_path).unlink(missing_ok=True)
    remove_state(folder)
    return stopped


def _link_logs(folder: Path, logs: Path) -> None:
    link = run_folder(folder) / "logs"
    _remove(link)
    link.symlink_to(logs)


def _remove(path: Path) -> None:
    if path.is_symlink():
        path.unlink()
    else:
        shutil.rmtree(path, ignore_errors=True)
