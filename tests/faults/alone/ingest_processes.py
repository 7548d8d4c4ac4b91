"""An owner of real vectors and an ingest's job as two processes without Ray, so that each can be killed cheaply."""

import json
import threading
import time
from collections.abc import Sequence
from dataclasses import asdict
from multiprocessing.connection import Client, Connection, Listener
from pathlib import Path
from typing import Any

import numpy as np

from cluster.config import resolve
from cluster.documents import Chunk, Document, EmbedderIdentity
from cluster.errors import HeliostatError, Unavailable
from cluster.settings.tree import Settings
from cluster.stores.database import open_database
from cluster.stores.document_states import DocumentStates
from cluster.stores.factory import open_vectors
from cluster.stores.vector_files import FOLDER, VectorFiles
from pipelines.documents.embedders import LocalEmbedder
from pipelines.documents.journal import Journal
from pipelines.documents.pipeline import Ingest, Means
from pipelines.documents.pool import NearPool
from pipelines.documents.selection import select
from pipelines.documents.stages import Place

PATIENCE_S = 120.0


def settings(home: Path) -> Settings:
    """Of a home with the fake embedder and real vectors."""
    args = {
        "home": str(home),
        "models": [{"id": "hash", "engine": {"kind": "hash", "dimensions": 64}}],
        "documents": {
            "folders": [str(home / "docs")],
            "chunk_tokens": 16,
            "chunk_overlap": 0,
            "served_bytes": 10**9,
            "embedding_cache_mib": 0,
        },
    }
    return resolve(args, {})


def own(home: Path) -> None:
    """Open the vectors and answer calls, one at a time, until killed."""
    store = open_vectors(settings(home).stores, home)
    socket = home / "owner.sock"
    socket.unlink(missing_ok=True)
    turn = threading.Lock()

    def serve(connection: Connection) -> None:
        while True:
            try:
                method, args, options = connection.recv()
                with turn:
                    try:
                        answer = (True, getattr(store, method)(*args, **options))
                    except HeliostatError as error:
                        answer = (False, error)
                connection.send(answer)
            except (EOFError, OSError):  # who asked was killed
                return

    with Listener(str(socket), family="AF_UNIX") as listener:
        while True:
            threading.Thread(target=serve, args=(listener.accept(),), daemon=True).start()


class OwnerByPipe:
    """The owner's process as a pipeline calls it: patient with a restart, as `pipelines.documents.served` is."""

    def __init__(self, home: Path, collection: str) -> None:
        self._socket = str(home / "owner.sock")
        self._collection = collection
        self._own = threading.local()

    def held(self, ids: Sequence[str], *, chunker: str) -> dict[str, Document]:
        found = self._call("held_many", list(ids), chunker=chunker)
        return {document.id: document for document in found if document is not None}

    def missing(self, ids: Sequence[str]) -> list[str]:
        return list(self._call("missing", list(ids)))

    def upsert(
        self, chunks: Sequence[Chunk], vectors: np.ndarray, *, chunker: str, identity: EmbedderIdentity
    ) -> None:
        self._call("upsert", tuple(chunks), vectors, chunker=chunker, identity=identity)

    def publish(self, documents: Sequence[Document], *, chunker: str) -> None:
        self._call("publish_many", tuple(documents), chunker=chunker)

    def unpublish(self, sources: Sequence[str]) -> None:
        self._call("unpublish_sources", tuple(sources))

    def reclaim(self, *, before: float, spared: Sequence[str]) -> None:
        self._call("reclaim", before=before, spared=tuple(spared))

    def _call(self, method: str, *args: Any, **options: Any) -> Any:
        deadline = time.monotonic() + PATIENCE_S
        while True:
            try:
                if getattr(self._own, "connection", None) is None:
                    self._own.connection = Client(self._socket, family="AF_UNIX")
                self._own.connection.send((method, (self._collection, *args), options))
                well, answer = self._own.connection.recv()
            except (OSError, EOFError):
                self._own.connection = None
                if time.monotonic() > deadline:
                    raise Unavailable("The owner stays away") from None
                time.sleep(0.05)
                continue
            if not well:
                raise answer
            return answer


def work(home: Path, collection: str, told_in: Path) -> None:
    """Ingest the home's documents, as `heliostat ingest` does. told_in: the file for what it tells at the end."""
    told = settings(home)
    place = Place(settings=told, application="app", folder=str(home / "runs" / collection), collection=collection)
    owner = OwnerByPipe(home, collection)
    pool = NearPool(place, owner, LocalEmbedder(told))
    noted = VectorFiles(home / FOLDER).read_records(collection)
    means = Means(near=pool, far=pool, vectors=owner, records={each.document.id: each for each in noted})
    journal = Journal(DocumentStates(open_database(told.database_url)), collection)
    run = Ingest(place, means, journal, lambda progress: None, job_id="run")
    files = select([home / "docs"], told.documents.folders).files
    told_in.write_text(json.dumps(asdict(run.run(files))))
