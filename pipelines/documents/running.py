"""The running cluster as the documents' commands use it: Ray is not loaded before something must be asked."""

import threading
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cluster.config import home, load_config
from cluster.errors import BadRequest, SettingsError
from cluster.runtime.state import read_state
from cluster.settings.tree import Settings
from cluster.stores.recut_names import base_of
from pipelines.documents.selection import Selected

if TYPE_CHECKING:  # a folder in which nothing has changed needs none of them, and they take half a second
    from cluster.stores.document_states import DocumentStates
    from cluster.stores.ledger import Record
    from cluster.stores.vector_files import VectorFiles
    from pipelines.documents.job_progress import JobProgress
    from pipelines.documents.journal import Journal
    from pipelines.documents.labels import Labels
    from pipelines.documents.owner import Owner
    from pipelines.documents.pipeline import Watch


class Driver:
    """Becomes a driver of a home's cluster when it is first called. Raises NotRunning or StaleCluster."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = threading.Lock()
        self._connected = False

    def __call__(self) -> None:
        """Connect, once."""
        with self._lock:
            if not self._connected:
                from pipelines.driver import become_driver

                become_driver(self._folder, data=False)  # only much work needs it, see pool.ActorPool
                self._connected = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """A home, the application that runs on it, and its settings."""

    home: Path
    application: str
    settings: Settings
    connect: Driver

    def into(self, collection: str | None = None) -> str:
        """A collection's name; None is the configured one. Raises BadRequest for a recut's."""
        name = collection or self.settings.documents.collection
        if base_of(name) is not None:
            raise BadRequest(f"{name[:80]!r} is a recut: sweeps make and keep it", hint="name its collection")
        return name

    def owner(self, collection: str | None = None) -> "Owner":
        """The owner of a collection; None is the configured one."""
        from pipelines.documents.owner import Owner

        return Owner(self.application, self.into(collection), self.connect)

    def states(self) -> "DocumentStates":
        """What became of each file."""
        from cluster.stores.database import open_database
        from cluster.stores.document_states import DocumentStates

        return DocumentStates(open_database(self.settings.database_url))

    def files(self) -> "VectorFiles":
        """The vectors beside the index, to be read: its owner alone writes there."""
        from cluster.stores.vector_files import FOLDER, VectorFiles

        return VectorFiles(self.home / FOLDER)

    def records(self, collection: str | None = None) -> "Mapping[str, Record] | None":
        """What is published in a collection, by id, as its owner noted it; None where it keeps no notes."""
        if self.settings.stores.vectors.kind == "memory":
            return None
        found = self.files().read_records(self.into(collection))
        return {record.document.id: record for record in found if record.sources}


def running(config: Path | None = None) -> Running:
    """The cluster of this home, or of a config's. Raises NotRunning, SettingsError without an embedding model."""
    folder = load_config(config).settings.home_path if config else home()
    state = read_state(folder)
    settings = load_config(config or state.config).settings
    if not settings.embedding_models:
        raise SettingsError(f"{config or state.config}: models: no embedding model", hint="add one to store with")
    return Running(home=folder, application=state.application, settings=settings, connect=Driver(folder))


def new_job_id() -> str:
    """An id for an ingest that nobody gave one."""
    return f"ingest-{uuid.uuid4().hex[:16]}"


def store(
    files: Sequence[Selected],
    cluster: Running,
    watch: "Watch",
    *,
    job_id: str,
    collection: str | None = None,
    labels: "Labels | None" = None,
    journal: "Journal | None" = None,
) -> "JobProgress":
    """Ingest files into a collection. watch is told of every step. Raises Unavailable."""
    from pipelines.documents.embedders import ServedEmbedder
    from pipelines.documents.journal import Journal
    from pipelines.documents.pipeline import Ingest, Means
    from pipelines.documents.pool import ActorPool, NearPool
    from pipelines.documents.stages import Place

    folder = cluster.home / "documents" / "runs" / job_id
    place = Place(
        settings=cluster.settings, application=cluster.application, folder=str(folder), collection=collection
    )
    owner = cluster.owner(collection)
    means = Means(
        near=NearPool(place, owner, ServedEmbedder(cluster.application, cluster.connect)),
        far=ActorPool(place, cluster.connect),
        vectors=owner,
        records=cluster.records(collection) or {},
    )
    notes = journal or Journal(cluster.states(), place.into)
    return Ingest(place, means, notes, watch, job_id=job_id, labels=labels).run(files)
