"""The one place that chooses a store. Heavy back ends are imported when they are chosen."""

from pathlib import Path

from cluster.settings.pipelines import DocumentSettings
from cluster.settings.stores import StoreSettings
from cluster.stores.vectors import VectorStore


def open_vectors(stores: StoreSettings, documents: DocumentSettings, home: Path) -> VectorStore:
    """The store that the settings name. Raises StartFailed where it is owned by another process."""
    kind = stores.vectors.kind
    if kind == "memory":
        from cluster.stores.vectors_memory import MemoryVectors

        return MemoryVectors()
    from cluster.stores.vectors_chroma import ChromaVectors, connect_server, open_embedded

    if kind == "server":
        assert stores.vectors.url is not None  # the settings hold kind and url together
        return ChromaVectors(connect_server(stores.vectors.url), collection=documents.collection)
    return ChromaVectors(open_embedded(home / "vectors"), collection=documents.collection)
