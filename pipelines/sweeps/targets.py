"""Where the commands of sweeps work: the stored runs of this home, and the cluster that runs more."""

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cluster.settings.pipelines import DocumentSettings
    from cluster.settings.tree import Settings
    from cluster.stores.runs import Run
    from pipelines.sweeps.estimate import Pace
    from pipelines.sweeps.run import Target
    from pipelines.sweeps.spec import SweepSpec

RECENT = 20  # stored runs that are looked at for a speed


def target_of(config: Path | None) -> "tuple[Settings, Target]":
    """The settings in force and the cluster to run on. Raises NotRunning without one."""
    from cluster.config import home, load_config
    from cluster.runtime.state import read_state
    from pipelines.sweeps.run import Target

    state = read_state(home())
    settings = load_config(config or state.config).settings
    target = Target(
        home=Path(state.home),
        application=state.application,
        served=[model.id for model in settings.chat_models],
        settings=settings.sweeps,
        documents=settings.documents,
        database_url=settings.database_url,
        embedder=next((model.id for model in settings.embedding_models), None),
        rerankers=[model.id for model in settings.rerank_models],
        cluster=settings,
    )
    return settings, target


def connect(target: "Target") -> None:
    """Become a driver of the target's cluster. Raises NotRunning or StaleCluster."""
    from pipelines.driver import become_driver

    become_driver(target.home)


def max_cells(config: Path | None) -> int:
    """The limit of the config, or of the running cluster, or the default: a plan needs neither."""
    from cluster.settings.pipelines import SweepSettings

    settings = _settings(config)
    return (SweepSettings() if settings is None else settings.sweeps).max_cells


def document_settings(config: Path | None) -> "DocumentSettings | None":
    """How documents are cut by the config, or on the running cluster; None where there is neither."""
    settings = _settings(config)
    return None if settings is None else settings.documents


def _settings(config: Path | None) -> "Settings | None":
    from cluster.config import home, load_config
    from cluster.errors import NotRunning
    from cluster.runtime.state import read_state

    try:
        return load_config(config or read_state(home()).config).settings
    except NotRunning:
        return None


def database_of(config: Path | None) -> str:
    """The database's URL: the given config's, the running cluster's, or what the environment says."""
    from cluster.config import database_url, home, load_config
    from cluster.errors import NotRunning, StaleCluster
    from cluster.runtime.state import read_state

    if config is not None:
        return load_config(config).settings.database_url
    try:
        state = read_state(home())
        settings = load_config(state.config).settings
    except (NotRunning, StaleCluster):
        return database_url()
    return settings.stores.database or database_url({"HELIOSTAT_HOME": state.home})


def find_run(sweep_id: str) -> "Run":
    """A stored run by the beginning of its id. Raises ExperimentNotFound."""
    from cluster.config import home
    from cluster.stores.runs import find

    return find(home(), sweep_id)


def recent_pace(spec: "SweepSpec") -> "Pace | None":
    """How fast the last stored run of the same models went, where there is one."""
    from cluster.config import home
    from cluster.errors import HeliostatError
    from cluster.stores.runs import runs
    from pipelines.sweeps.estimate import PACE_COLUMNS, pace_of

    for found in runs(home())[:RECENT]:
        try:
            if set(found.manifest().models) == set(spec.models):
                pace = pace_of(found.table(PACE_COLUMNS))
                if pace is not None:
                    return pace
        except HeliostatError:  # a damaged run tells no speed
            continue
    return None


def print_json(value: object) -> None:
    """A value as JSON on standard output."""
    sys.stdout.write(json.dumps(value, indent=1, ensure_ascii=False) + "\n")
