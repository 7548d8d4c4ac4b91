"""Chroma keeps the promises of all vector stores, over restarts too. Not unit: it writes to a disk."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from cluster.errors import CollectionNotFound, StartFailed
from cluster.settings.stores import StoreSettings, VectorSettings
from cluster.stores.factory import open_vectors
from cluster.stores.vectors import VectorStore
from cluster.stores.vectors_chroma import ChromaIndex
from tests.unit.retrieval.recut_promises import *  # noqa: F403
from tests.unit.retrieval.vector_parts import (
    CUT,
    DOCS,
    IDENTITY,
    chunks,
    document,
    names,
    nearest,
    put,
    vectors,
    worded,
)
from tests.unit.retrieval.vector_promises import *  # noqa: F403 - the tests are the promises

pytestmark = pytest.mark.graph


@pytest.fixture
def store(tmp_path: Path) -> Iterator[VectorStore]:
    opened = open_vectors(StoreSettings(), tmp_path)
    yield opened
    opened.close()


def reopened(store: VectorStore, home: Path) -> VectorStore:
    store.close()
    return open_vectors(StoreSettings(), home)


def test_embedded_chroma_survives_a_restart(tmp_path: Path) -> None:
    store = open_vectors(StoreSettings(), tmp_path)
    kept = put(store, "d1", tags=("a",), metadata={"year": 2024, "open": True})
    again = reopened(store, tmp_path)
    assert again.documents(DOCS) == (kept,)
    assert again.identity(DOCS) == IDENTITY
    assert nearest(again, 1, limit=1)[0].chunk == chunks("d1")[1]
    assert names(worded(again, "part1")) == ["d1"]
    again.close()


def test_embedded_chroma_takes_more_than_one_batch(tmp_path: Path) -> None:
    store = open_vectors(StoreSettings(), tmp_path)
    many = 1201
    rng = np.random.default_rng(0).normal(size=(many, 4)).astype(np.float32)
    store.upsert(DOCS, chunks("d1", count=many), rng, chunker=CUT, identity=IDENTITY)
    store.publish(DOCS, document("d1", chunks=many), chunker=CUT)
    assert store.count(DOCS) == many
    assert store.missing(DOCS, [chunk.id for chunk in chunks("d1", count=many)]) == []
    store.delete(DOCS, "d1")
    assert store.count(DOCS) == 0
    store.close()


@pytest.mark.parametrize("change", ["delete", "new version", "new cut"])
def test_who_is_killed_before_old_chunks_are_deleted_deletes_them_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    store = open_vectors(StoreSettings(), tmp_path)
    put(store, "d1", (0, 1, 2))
    put(store, "d2", source="b.txt")

    def killed(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    changes = {
        "delete": lambda: store.delete(DOCS, "d1"),
        "new version": lambda: put(store, "d3", created=2),
        "new cut": lambda: put(store, "d1", (3,), cut="cut-2"),
    }
    with monkeypatch.context() as patched:
        patched.setattr(ChromaIndex, "drop_document", killed)
        with pytest.raises(KeyboardInterrupt):
            changes[change]()
    assert store.count(DOCS) > 4
    again = reopened(store, tmp_path)
    left = {"delete": {"d2"}, "new version": {"d2", "d3"}, "new cut": {"d1", "d2"}}[change]
    assert {one.id for one in again.documents(DOCS)} == left
    assert again.count(DOCS) == sum(one.chunks for one in again.documents(DOCS))
    assert set(names(nearest(again, 0, limit=9))) == left
    again.close()
    assert (
        open_vectors(StoreSettings(), tmp_path).count(DOCS) == {"delete": 2, "new version": 4, "new cut": 3}[change]
    )


def test_a_lost_index_is_built_anew_from_the_vector_files(tmp_path: Path) -> None:
    store = open_vectors(StoreSettings(), tmp_path)
    kept = put(store, "d1", tags=("a",), metadata={"year": 2024})
    put(store, "gone", source="b.txt")
    store.delete(DOCS, "gone")
    store.upsert(DOCS, chunks("hidden"), vectors(0, 1), chunker=CUT, identity=IDENTITY)
    put(store, "d2", (2, 3), source="c.txt", cut="cut-2")
    before = (store.documents(DOCS), nearest(store, 2, limit=1), worded(store, "d2"))
    store.close()
    shutil.rmtree(tmp_path / "vectors")
    again = open_vectors(StoreSettings(), tmp_path)
    assert again.documents(DOCS) == ()
    assert again.reindex(DOCS) == 4
    assert (again.documents(DOCS), nearest(again, 2, limit=1), worded(again, "d2")) == before
    assert kept in again.documents(DOCS)
    assert again.reindex(DOCS) == 4
    with pytest.raises(CollectionNotFound):
        again.reindex("unknown")
    again.close()


def test_an_index_from_a_time_without_vector_files_is_filed_before_it_is_built_anew(tmp_path: Path) -> None:
    store = open_vectors(StoreSettings(), tmp_path)
    put(store, "d1")
    before = (store.documents(DOCS), nearest(store, 0, limit=1))
    shutil.rmtree(tmp_path / "documents")
    again = reopened(store, tmp_path)
    assert again.reindex(DOCS) == 2
    assert (again.documents(DOCS), nearest(again, 0, limit=1)) == before
    again.close()


def test_a_document_whose_vectors_are_lost_is_forgotten_and_can_be_stored_again(tmp_path: Path) -> None:
    store = open_vectors(StoreSettings(), tmp_path)
    put(store, "d1")
    put(store, "d2", (2, 3), source="b.txt")
    store.close()
    shutil.rmtree(tmp_path / "vectors")
    part = next(file for file in (tmp_path / "documents").rglob("*.parquet") if b"d1-" in file.read_bytes())
    part.unlink()
    again = open_vectors(StoreSettings(), tmp_path)
    assert again.reindex(DOCS) == 2
    assert [one.id for one in again.documents(DOCS)] == ["d2"]
    put(again, "d1")
    assert again.count(DOCS) == 4
    again.close()


def test_a_forgotten_collection_is_not_built_anew(tmp_path: Path) -> None:
    store = open_vectors(StoreSettings(), tmp_path)
    put(store, "d1")
    store.remove_collection(DOCS)
    again = reopened(store, tmp_path)
    with pytest.raises(CollectionNotFound):
        again.reindex(DOCS)
    again.close()


def test_an_embedded_folder_has_one_owner(tmp_path: Path) -> None:
    from cluster.stores.chroma_connections import open_embedded

    store = open_vectors(StoreSettings(), tmp_path)
    with pytest.raises(StartFailed, match="owned by another process"):
        open_embedded(tmp_path / "vectors", wait_s=0.2)
    store.close()


def test_a_server_that_does_not_answer_is_named(tmp_path: Path) -> None:
    stores = StoreSettings(vectors=VectorSettings(kind="server", url="http://127.0.0.1:9"))
    with pytest.raises(StartFailed, match=r"http://127\.0\.0\.1:9"):
        open_vectors(stores, tmp_path)
