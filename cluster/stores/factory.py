"""The one place that chooses a store. Heavy back ends are imported when they are chosen."""

from pathlib import Path

from cluster.settings.stores import StoreSettings
from cluster.stores.vector_files import FOLDER, VectorFiles
from cluster.stores.vectors import VectorStore


def open_vectors(stores: StoreSettings, home: Path) -> VectorStore:
    """The store that the settings name. Raises StartFailed where it is owned by another process."""
    kind = stores.vectors.kind
    if kind == "memory":
        from cluster.stores.vectors_memory import MemoryVectors

        return MemoryVectors(in_memory=stores.vectors.in_memory)
    from cluster.stores.chroma_connections import connect_server, open_embedded
    from cluster.stores.vectors_chroma import ChromaIndexes

    if kind == "server":
        assert stores.vectors.url is not None  # the settings hold kind and url together
        connection = connect_server(stores.vectors.url)
    else:
        connection = open_embedded(home / "vectors")
    files = VectorFiles(home / FOLDER)
    return VectorStore(ChromaIndexes(connection), files, in_memory=stores.vectors.in_memory)
