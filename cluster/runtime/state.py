"""What a home remembers of its running cluster: `HELIOSTAT_HOME/run/cluster.json`.

Importing this module loads neither Ray nor anything heavy: `status` of a cluster that is not there is instant.
"""

import json
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Literal

from cluster.errors import NotRunning, StaleCluster

NAMESPACE = "heliostat"  # Ray namespace of our drivers; Serve keeps its own actors in `serve`
START_HINT = "heliostat up configs/demo.yaml"


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterState:
    """One cluster, as it was started or joined.

    id: the marker that every process of an own cluster carries in HELIOSTAT_CLUSTER. address: host:port of
    Ray's GCS. url: of the HTTP endpoint. dashboard: URL of Ray's dashboard. token_path: file with Ray's
    access token, None where the joined cluster has none. applications: names of the Serve applications that we
    deployed. home, config, scratch, logs: absolute paths; scratch holds sockets and is removed by `down`.
    started: Unix seconds. environment: what a driver must set before it connects. serve_started: whether a
    joined cluster had no Serve before us, so that `down` ends it.
    """

    id: str
    kind: Literal["own", "joined"]
    phase: Literal["starting", "running"]
    address: str
    url: str
    dashboard: str
    application: str
    applications: tuple[str, ...]
    home: str
    config: str
    started: float
    namespace: str = NAMESPACE
    token_path: str | None = None
    scratch: str | None = None
    logs: str | None = None
    serve_started: bool = True
    environment: dict[str, str] = field(default_factory=dict)
    pids: dict[str, int] = field(default_factory=dict)


def run_folder(home: Path) -> Path:
    """Where a home keeps what belongs to a running cluster."""
    return home / "run"


def state_file(home: Path) -> Path:
    """The state file of a home."""
    return run_folder(home) / "cluster.json"


def read_state(home: Path) -> ClusterState:
    """The cluster of this home, as last written. Raises NotRunning, or StaleCluster for an unreadable file."""
    file = state_file(home)
    try:
        fields = json.loads(file.read_text(encoding="utf-8"))
        fields["applications"] = tuple(fields["applications"])
        return ClusterState(**fields)
    except FileNotFoundError:
        raise NotRunning(f"no cluster is running on {home}", hint=START_HINT) from None
    except (ValueError, TypeError, KeyError) as error:
        raise StaleCluster(f"{file}: not a cluster's state: {error}", hint="heliostat down removes it") from None


def write_state(state: ClusterState) -> None:
    """Replace the state file in one step: a reader sees the old or the new, never a half."""
    file = state_file(Path(state.home))
    file.parent.mkdir(parents=True, exist_ok=True)
    draft = file.with_suffix(f".{os.getpid()}.tmp")
    draft.write_text(json.dumps(asdict(state), indent=1) + "\n", encoding="utf-8")
    draft.replace(file)


def remove_state(home: Path) -> None:
    """Forget the cluster; nothing happens where there is none."""
    state_file(home).unlink(missing_ok=True)
