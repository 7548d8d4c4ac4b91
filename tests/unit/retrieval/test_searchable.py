"""What is kept in memory for searches: exact in all cases, whether the index is asked or not."""

from collections.abc import Sequence

import numpy as np
import pytest

from cluster.documents import EmbedderIdentity
from cluster.stores import searchable, vector_table
from cluster.stores.ledger import Ledger, Record
from cluster.stores.searchable import Searchable
from cluster.stores.vector_table import VectorTable
from cluster.stores.vectors_memory import MemoryIndex
from tests.unit.retrieval.vector_parts import CUT, chunks, document

DIMENSIONS = 8
DOCUMENTS = [f"d{number}" for number in range(40)]


def unit(count: int, seed: int = 0) -> np.ndarray:
    made = np.random.default_rng(seed).normal(size=(count, DIMENSIONS)).astype(np.float32)
    return made / np.linalg.norm(made, axis=1, keepdims=True)


def exact(vectors: dict[str, np.ndarray], query: np.ndarray, limit: int) -> list[str]:
    return sorted(vectors, key=lambda name: -float(vectors[name] @ query))[:limit]


def test_a_table_stays_exact_while_documents_come_and_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vector_table, "LEAST_ROWS", 4)
    monkeypatch.setattr(vector_table, "BLOCK", 3)
    table, kept, rng = VectorTable(DIMENSIONS), {}, np.random.default_rng(1)
    for step in range(120):
        name = f"d{rng.integers(12)}"
        kept = {chunk: vector for chunk, vector in kept.items() if not chunk.startswith(f"{name}-")}
        if rng.random() < 0.6:
            made = unit(int(rng.integers(1, 6)), seed=step)
            ids = [f"{name}-{step}-{place}" for place in range(len(made))]
            table.add(name, ids, made)
            kept.update(zip(ids, made, strict=True))
        else:
            table.remove(name)
        query = unit(1, seed=1000 + step)[0]
        assert [found for found, _ in table.nearest(query, limit=5)] == exact(kept, query, 5)
        some = frozenset({"d1", "d5", "d7", "unknown"})
        filtered = {chunk: vector for chunk, vector in kept.items() if chunk.split("-")[0] in some}
        assert [found for found, _ in table.nearest(query, limit=5, among=some)] == exact(filtered, query, 5)
        assert table.count(some) == len(filtered)
        assert len(table) == len(kept)
        assert set(table.vectors([*kept, "unknown"])) == set(kept)


@pytest.fixture
def full() -> tuple[MemoryIndex, Ledger, dict[str, np.ndarray]]:
    """40 published documents of 3 chunks, and chunks beside them that are not published."""
    index = MemoryIndex(EmbedderIdentity(model="m", revision="r", dimensions=DIMENSIONS))
    vectors = {}
    for place, name in enumerate(DOCUMENTS):
        made = unit(3, seed=place)
        index.upsert(chunks(name, count=3), made, chunker=CUT)
        vectors.update({f"{name}-{CUT}-{ordinal}": made[ordinal] for ordinal in range(3)})
    index.upsert(chunks("hidden", count=60), unit(60, seed=99), chunker=CUT)
    records = [
        Record(document=document(name, source=name, chunks=3), sources=(name,), chunker=CUT) for name in DOCUMENTS
    ]
    return index, Ledger(records), vectors


@pytest.mark.parametrize("most", [0, 1000])
@pytest.mark.parametrize("compared", [0, 1000])
@pytest.mark.parametrize("among", [None, frozenset({"d3"}), frozenset(DOCUMENTS[::2]), frozenset({"unknown"})])
def test_the_nearest_are_found_whichever_way_they_are_looked_for(
    full: tuple[MemoryIndex, Ledger, dict[str, np.ndarray]],
    monkeypatch: pytest.MonkeyPatch,
    most: int,
    compared: int,
    among: frozenset[str] | None,
) -> None:
    monkeypatch.setattr(searchable, "EXACT", compared)
    index, ledger, vectors = full
    loaded = Searchable.load(index, ledger, most=most)
    assert len(loaded) == len(vectors)
    wanted = {name: vector for name, vector in vectors.items() if among is None or name.split("-")[0] in among}
    for seed in range(5):
        query = unit(1, seed=500 + seed)[0]
        found = loaded.nearest(query, limit=7, among=among)
        assert [name for name, _ in found] == exact(wanted, query, 7)
    ids = list(vectors)[:4]
    assert list(loaded.chunks([*ids, "unknown"])) == list(loaded.vectors([*ids, "unknown"])) == ids


@pytest.mark.parametrize("most", [0, 1000])
def test_what_comes_and_leaves_is_found_and_lost(
    full: tuple[MemoryIndex, Ledger, dict[str, np.ndarray]], most: int
) -> None:
    index, ledger, _ = full
    loaded = Searchable.load(index, ledger, most=most)
    loaded.add("hidden", chunks("hidden", count=60))
    assert len(loaded) == 180
    assert [hit.document_id for hit in loaded.words.search("hidden", limit=2)] == ["hidden", "hidden"]
    loaded.remove("hidden")
    loaded.remove("hidden")
    assert (len(loaded), loaded.words.search("hidden", limit=2)) == (120, [])
    assert len(loaded.nearest(unit(1)[0], limit=500, among=None)) == 120


class Asked(MemoryIndex):
    """An index that remembers how many it was asked for."""

    def __init__(self, identity: EmbedderIdentity) -> None:
        super().__init__(identity)
        self.limits: list[int] = []

    def nearest(
        self, vector: np.ndarray, *, limit: int, among: Sequence[str] | None = None
    ) -> list[tuple[str, float]]:
        self.limits.append(limit)
        return super().nearest(vector, limit=limit, among=among)


@pytest.mark.parametrize(
    ("leaves", "asked"),
    [
        ("every other", [26]),  # of 200 chunks 10 are wanted, of half of the documents
        ("the nearest", [26]),
        ("few of the first", [15, 39]),  # 5 of them, so that 39 should have 13
        ("the farthest", [26]),  # it left none of the first: all that it leaves are compared one by one
    ],
)
def test_a_filter_that_leaves_much_is_asked_of_the_index_first(
    monkeypatch: pytest.MonkeyPatch, leaves: str, asked: list[int]
) -> None:
    monkeypatch.setattr(searchable, "EXACT", 50)
    monkeypatch.setattr(searchable, "MOST", 60)
    index = Asked(EmbedderIdentity(model="m", revision="r", dimensions=DIMENSIONS))
    query, names = unit(1, seed=7)[0], [f"d{number}" for number in range(200)]
    made = unit(200, seed=8)
    for name, vector in zip(names, made, strict=True):
        index.upsert(chunks(name, count=1), vector[None], chunker=CUT)
    records = [
        Record(document=document(name, source=name, chunks=1), sources=(name,), chunker=CUT) for name in names
    ]
    loaded = Searchable.load(index, Ledger(records), most=1000)
    order = [names[at] for at in np.argsort(-(made @ query))]
    among = {
        "every other": order[::2],
        "the nearest": order[:100],
        "few of the first": order[:40:3] + order[40:],
        "the farthest": order[100:],
    }[leaves]
    found = loaded.nearest(query, limit=10, among=frozenset(among))
    assert [name.split("-")[0] for name, _ in found] == among[:10]
    assert index.limits == asked
