"""Another config for a cluster that runs: Serve replaces what has changed, replica by replica."""

import time
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

from cluster.config import load_config
from cluster.console.progress import Progress
from cluster.errors import Conflict
from cluster.runtime.deploying import deploy, wait_ready
from cluster.runtime.document import prepare
from cluster.runtime.interrupts import Interrupts
from cluster.runtime.lifecycle import current
from cluster.runtime.state import ClusterState, write_state


def update(config: Path, progress: Progress, interrupts: Interrupts, *, timeout_s: float = 300.0) -> ClusterState:
    """Deploy the config on the home's cluster, and return when all of it runs. The HTTP address stays.

    Raises SettingsError, NotRunning, StaleCluster, StartFailed, and Conflict on a Ray that was joined. What runs
    answers on while the new starts, and where the new fails to start.
    """
    began = time.monotonic()
    read = load_config(config)
    state = current(read.settings.home_path)
    if state.kind == "joined":
        raise Conflict(
            "this cluster was joined by address: its Serve may have other applications",
            hint="deploy with Serve's own tools, see heliostat status --env",
        )
    # A server listens where it was started; Serve would refuse another port.
    document = prepare(read, home=Path(state.home), port=urlsplit(state.url).port)
    deploy(state, document, progress)
    wait_ready(state, document, progress, began + timeout_s, interrupts)
    state = replace(
        state, config=str(config.absolute()), application=document.application, applications=document.applications
    )
    write_state(state)
    progress.done("updated", time.monotonic() - began)
    return state
