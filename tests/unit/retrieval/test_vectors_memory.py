"""The fake vector store keeps the promises of all stores."""

from pathlib import Path

import pytest

from cluster.errors import Conflict
from cluster.settings.stores import StoreSettings, VectorSettings
from cluster.stores.factory import open_vectors
from cluster.stores.vectors import VectorStore
from tests.unit.retrieval.recut_promises import *  # noqa: F403
from tests.unit.retrieval.vector_promises import *  # noqa: F403 - the tests are the promises


@pytest.fixture
def store() -> VectorStore:
    return open_vectors(StoreSettings(vectors=VectorSettings(kind="memory")), Path())


def test_without_vector_files_there_is_nothing_to_build_an_index_from(store: VectorStore) -> None:
    with pytest.raises(Conflict, match="No vectors are kept"):
        store.reindex("docs")
