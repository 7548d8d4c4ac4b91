"""Vectors of texts that were embedded before."""

import sqlite3
from pathlib import Path

import numpy as np
import pytest

from cluster.documents import EmbedderIdentity
from cluster.stores.embedding_cache import USED_EVERY_S, EmbeddingCache

IDENTITY = EmbedderIdentity(model="embed", revision="r1", dimensions=4)
MIB = 1024**2


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def cache(tmp_path: Path, clock: Clock) -> EmbeddingCache:
    return EmbeddingCache(tmp_path / "deep" / "embeddings.sqlite", max_bytes=MIB, clock=clock)


def vectors(count: int, dimensions: int = 4) -> np.ndarray:
    return np.random.default_rng(count).standard_normal((count, dimensions)).astype(np.float32)


def test_a_text_embedded_before_is_known_bit_for_bit(cache: EmbeddingCache) -> None:
    told = vectors(3)
    cache.put(["a", "b", "c"], told, IDENTITY)
    found = cache.get(["x", "c", "a", "c"], IDENTITY)
    assert sorted(found) == [1, 2, 3]
    assert (found[1] == told[2]).all()
    assert (found[2] == told[0]).all()
    assert found[3].dtype == np.float32


@pytest.mark.parametrize("other", [{"model": "m"}, {"revision": "r2"}, {"dimensions": 3}])
def test_another_embedder_knows_nothing_of_it(cache: EmbeddingCache, other: dict[str, object]) -> None:
    cache.put(["a"], vectors(1), IDENTITY)
    fields = {"model": "embed", "revision": "r1", "dimensions": 4} | other
    assert cache.get(["a"], EmbedderIdentity(**fields)) == {}


def test_a_second_process_sees_what_the_first_wrote(cache: EmbeddingCache) -> None:
    cache.put(["a"], vectors(1), IDENTITY)
    second = EmbeddingCache(cache._path, max_bytes=MIB)
    assert list(second.get(["a"], IDENTITY)) == [0]
    second.put(["b"], vectors(1), IDENTITY)
    assert sorted(cache.get(["a", "b"], IDENTITY)) == [0, 1]


def test_more_texts_than_a_query_takes_are_asked_for_at_once(cache: EmbeddingCache) -> None:
    texts = [f"text {number}" for number in range(1234)]
    cache.put(texts, vectors(1234), IDENTITY)
    assert len(cache.get(texts, IDENTITY)) == 1234


def test_the_least_recently_used_leave_when_the_file_is_full(cache: EmbeddingCache, clock: Clock) -> None:
    wide = EmbedderIdentity(model="embed", revision="r1", dimensions=384)
    cache.put(["old but used"], vectors(1, 384), wide)
    cache.put(["old"], vectors(1, 384), wide)
    for batch in range(3):
        clock.now += USED_EVERY_S + 1
        assert cache.get(["old but used"], wide)
        cache.put([f"{batch} {number}" for number in range(200)], vectors(200, 384), wide)
    assert list(cache.get(["old but used", "old", "0 0", "2 199"], wide)) == [0, 3]
    assert cache._bytes(cache._connection()) <= MIB


def test_a_cache_of_no_size_keeps_nothing(tmp_path: Path) -> None:
    cache = EmbeddingCache(tmp_path / "e.sqlite", max_bytes=0)
    cache.put(["a"], vectors(1), IDENTITY)
    assert cache.get(["a"], IDENTITY) == {}
    assert not (tmp_path / "e.sqlite").exists()


def test_a_bound_below_what_sqlite_itself_takes_ends(tmp_path: Path) -> None:
    cache = EmbeddingCache(tmp_path / "e.sqlite", max_bytes=1)
    cache.put(["a"], vectors(1), IDENTITY)
    assert cache.get(["a"], IDENTITY) == {}


def test_a_vector_that_is_not_finite_is_not_kept(cache: EmbeddingCache) -> None:
    told = vectors(2)
    told[0, 1] = np.nan
    cache.put(["a", "b"], told, IDENTITY)
    assert list(cache.get(["a", "b"], IDENTITY)) == [1]


def test_a_damaged_file_is_thrown_away_and_made_anew(cache: EmbeddingCache) -> None:
    cache._path.parent.mkdir()
    cache._path.write_bytes(b"this is no database at all " * 100)
    assert cache.get(["a"], IDENTITY) == {}
    cache.put(["a"], vectors(1), IDENTITY)
    assert list(cache.get(["a"], IDENTITY)) == [0]


def test_a_file_that_cannot_be_opened_is_a_cache_that_knows_nothing(tmp_path: Path) -> None:
    (tmp_path / "e.sqlite").mkdir()
    cache = EmbeddingCache(tmp_path / "e.sqlite", max_bytes=MIB)
    cache.put(["a"], vectors(1), IDENTITY)
    assert cache.get(["a"], IDENTITY) == {}


def test_a_vector_of_a_wrong_length_is_not_believed(cache: EmbeddingCache) -> None:
    cache.put(["a"], vectors(1), IDENTITY)
    with sqlite3.connect(cache._path) as connection:
        connection.execute("UPDATE vectors SET vector = x'00000000'")
    assert cache.get(["a"], IDENTITY) == {}


def test_a_closed_cache_opens_again(cache: EmbeddingCache) -> None:
    cache.put(["a"], vectors(1), IDENTITY)
    cache.close()
    cache.close()
    assert list(cache.get(["a"], IDENTITY)) == [0]


def test_texts_that_are_no_unicode_are_texts_too(cache: EmbeddingCache) -> None:
    cache.put(["\ud800"], vectors(1), IDENTITY)
    assert list(cache.get(["\ud800", "\ud801"], IDENTITY)) == [0]
