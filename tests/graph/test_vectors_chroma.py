"""Chroma keeps the promises of all vector stores, over restarts too. Not unit: it writes to a disk."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from cluster.errors import BadRequest, StartFailed
from cluster.settings.pipelines import DocumentSettings
from cluster.settings.stores import StoreSettings, VectorSettings
from cluster.stores.factory import open_vectors
from cluster.stores.vectors import VectorStore
from tests.unit.retrieval.vector_promises import *  # noqa: F403 - the tests are the promises
from tests.unit.retrieval.vector_promises import CUT, IDENTITY, chunks, document, put, vectors

pytestmark = pytest.mark.graph


@pytest.fixture
def store(tmp_path: Path) -> Iterator[VectorStore]:
    opened = open_vectors(StoreSettings(), DocumentSettings(), tmp_path)
    yield opened
    opened.close()


def test_embedded_chroma_survives_a_restart(tmp_path: Path) -> None:
    store = open_vectors(StoreSettings(), DocumentSettings(), tmp_path)
    put(store, "d1")
    store.close()
    again = open_vectors(StoreSettings(), DocumentSettings(), tmp_path)
    assert again.documents() == (document("d1"),)
    assert again.identity() == IDENTITY
    assert again.query(vectors(1)[0], limit=1, identity=IDENTITY)[0].chunk == chunks("d1")[1]
    again.close()


def test_embedded_chroma_takes_more_than_one_batch(tmp_path: Path) -> None:
    store = open_vectors(StoreSettings(), DocumentSettings(), tmp_path)
    many = 1201
    rng = np.random.default_rng(0).normal(size=(many, 4)).astype(np.float32)
    store.upsert(chunks("d1", count=many), rng, chunker=CUT, identity=IDENTITY)
    store.publish(document("d1", chunks=many), chunker=CUT)
    assert store.count() == many
    assert store.missing([chunk.id for chunk in chunks("d1", count=many)]) == []
    store.delete("d1")
    assert store.count() == 0
    store.close()


def test_an_embedded_folder_has_one_owner(tmp_path: Path) -> None:
    from cluster.stores.vectors_chroma import open_embedded

    store = open_vectors(StoreSettings(), DocumentSettings(), tmp_path)
    with pytest.raises(StartFailed, match="owned by another process"):
        open_embedded(tmp_path / "vectors", wait_s=0.2)
    store.close()


def test_a_server_that_does_not_answer_is_named() -> None:
    stores = StoreSettings(vectors=VectorSettings(kind="server", url="http://127.0.0.1:9"))
    with pytest.raises(StartFailed, match=r"http://127\.0\.0\.1:9"):
        open_vectors(stores, DocumentSettings(), Path())


def test_embedded_chroma_refuses_a_document_without_chunks(tmp_path: Path) -> None:
    store = open_vectors(StoreSettings(), DocumentSettings(), tmp_path)
    with pytest.raises(BadRequest, match="no stored chunks"):
        store.publish(document("d1"), chunker=CUT)
    store.close()
