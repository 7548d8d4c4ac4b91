"""Embeddings compared in chunks say what all of them at once would."""

import tracemalloc
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from cluster.errors import BadRequest
from pipelines.embeddings.process import SMALLEST, Processed, fitting, process
from pipelines.embeddings.products import ProcessorProducts, products
from pipelines.embeddings.projection import project
from pipelines.embeddings.similarity import BINS


def vectors(count: int, dimensions: int = 24, seed: int = 0) -> Any:
    return np.random.default_rng(seed).normal(size=(count, dimensions)).astype(np.float32)


def processed(given: Any, *, chunk: int = 16, double: float = 0.95, most: int = 100, on: Any = None) -> Processed:
    return process(given, on or ProcessorProducts(), chunk=chunk, double=double, most_doubles=most)


@settings(max_examples=25, deadline=None)
@given(count=st.integers(1, 70), chunk=st.integers(1, 80), seed=st.integers(0, 9))
def test_chunks_change_nothing(count: int, chunk: int, seed: int) -> None:
    given = vectors(count, seed=seed)
    found = processed(given, chunk=chunk, double=0.4, most=10_000)
    unit = given / np.linalg.norm(given, axis=1, keepdims=True)
    rows, columns = np.triu_indices(count, k=1)
    cosines = (unit @ unit.T)[rows, columns]
    assert found.similarity.pairs == len(cosines) == sum(found.similarity.counts)
    if len(cosines):
        told = (found.similarity.mean, found.similarity.std, found.similarity.lowest, found.similarity.highest)
        assert_allclose(told, (cosines.mean(), cosines.std(), cosines.min(), cosines.max()), atol=1e-5)
    doubles = {(double.first, double.second) for double in found.similarity.doubles}
    assert doubles == {(rows[at], columns[at]) for at in np.flatnonzero(cosines >= 0.4)}
    assert_allclose(found.centroid, unit.mean(axis=0), atol=1e-6)
    assert_allclose(np.linalg.norm(found.unit, axis=1), 1, atol=1e-6)


def test_the_most_alike_are_shown_and_all_are_counted() -> None:
    base = vectors(1)
    given = np.concatenate([base + step * 1e-3 * vectors(1, seed=7) for step in range(20)])
    found = processed(given, chunk=6, double=0.99, most=5).similarity
    assert found.doubles_total == 190
    assert [(one.first + 1) == one.second for one in found.doubles] == [True] * 5
    assert list(found.doubles) == sorted(found.doubles, key=lambda one: -one.cosine)


def test_the_projection_is_the_principal_components() -> None:
    given = vectors(60, 8)
    given[:, 0] *= 9
    given[:, 3] *= 4
    found = processed(given).projection
    unit = given / np.linalg.norm(given, axis=1, keepdims=True)
    centred = unit - unit.mean(axis=0)
    values, shares = np.linalg.svd(centred, full_matrices=False)[1:], None
    shares = values[0] ** 2 / (values[0] ** 2).sum()
    assert_allclose(found.explained, shares[:2], atol=1e-5)
    assert_allclose(np.abs(found.points), np.abs(centred @ values[1][:2].T), atol=1e-4)
    again = processed(given, chunk=7).projection
    assert_allclose(found.points, again.points, atol=1e-4)


@settings(max_examples=20, deadline=None)
@given(count=st.integers(2, 30), dimensions=st.integers(1, 60), chunk=st.integers(1, 40), seed=st.integers(0, 9))
def test_it_is_the_same_whether_rows_or_columns_are_fewer(
    count: int, dimensions: int, chunk: int, seed: int
) -> None:
    given = vectors(count, dimensions, seed=seed)
    unit = given / np.linalg.norm(given, axis=1, keepdims=True)
    found = project(unit, block=chunk)
    centred = (unit - unit.mean(axis=0)).astype(np.float64)
    _, lengths, directions = np.linalg.svd(centred, full_matrices=False)
    total = float((lengths**2).sum())
    for axis in range(min(2, len(lengths))):
        share = float(lengths[axis] ** 2) / total if total > 1e-9 else 0.0
        assert found.explained[axis] == pytest.approx(share, abs=1e-6)
        if share > 1e-6 and (axis + 1 == len(lengths) or lengths[axis] - lengths[axis + 1] > 1e-3):
            assert_allclose(np.abs(found.points[:, axis]), np.abs(centred @ directions[axis]), atol=1e-4)


def test_a_few_vectors_of_many_dimensions_cost_what_they_are() -> None:
    """Two of 8,192 numbers took 1.5 GB and minutes of the only thread, in which everybody else waits."""
    given = vectors(3, 2048)
    tracemalloc.start()
    found = processed(given)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2048 * 2048  # a table of all dimensions by all has 8 times as many bytes
    assert sum(found.projection.explained) == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("count", [1, 2])
def test_one_or_two_vectors_are_enough(count: int) -> None:
    found = processed(np.ones((count, 3), dtype=np.float32))
    assert found.similarity.pairs == count - 1
    assert found.projection.points.tolist() == [[0.0, 0.0]] * count
    assert found.projection.explained == (0.0, 0.0)
    assert len(found.similarity.counts) == BINS


def test_opposite_vectors_have_a_centroid_without_a_direction() -> None:
    found = processed(np.array([[1.0, 0.0], [-1.0, 0.0]], dtype=np.float32))
    assert found.to_centroid.tolist() == [0.0, 0.0]
    assert found.similarity.lowest == -1.0


@pytest.mark.parametrize(("wrong", "said"), [(np.nan, "not finite"), (np.inf, "not finite"), (0.0, "all zeros")])
def test_a_vector_without_a_direction_is_named(wrong: float, said: str) -> None:
    given = vectors(40)
    given[33] = wrong
    with pytest.raises(BadRequest, match=said) as raised:
        processed(given)
    assert raised.value.param == "embeddings[33]"


class Failing:
    """A GPU that has no memory for more than some rows, or fails."""

    name = "cuda"

    def __init__(self, rows: int) -> None:
        self._rows = rows

    def cosines(self, left: Any, right: Any) -> Any:
        if self._rows == 0:
            raise RuntimeError("CUDA error: an illegal memory access was encountered")
        if len(left) > self._rows:
            raise RuntimeError("CUDA out of memory")
        return left @ right.T


def test_chunks_shrink_until_they_fit() -> None:
    given = vectors(100)
    found = processed(given, chunk=64, on=Failing(20))
    assert (found.chunk, found.device) == (SMALLEST, "cuda")
    assert [warning.code for warning in found.warnings] == ["chunk_reduced"] * 2
    assert found.similarity == processed(given, chunk=SMALLEST).similarity


def test_a_gpu_that_fails_gives_way_to_the_processor() -> None:
    found = processed(vectors(20), on=Failing(0))
    assert found.device == "cpu"
    assert [warning.code for warning in found.warnings] == ["gpu_failed"]


def test_the_processor_s_own_failure_is_not_hidden() -> None:
    class Broken(ProcessorProducts):
        def cosines(self, left: Any, right: Any) -> Any:
            raise MemoryError

    with pytest.raises(MemoryError):
        processed(vectors(20), chunk=SMALLEST, on=Broken())


def test_without_a_gpu_reserved_the_processor_compares() -> None:
    assert products(0.0).name == "cpu"


@given(free=st.integers(1_000_000, 2**36), dimensions=st.integers(1, 8192))
def test_a_chunk_fits_into_a_quarter_of_what_is_free(free: int, dimensions: int) -> None:
    chunk = fitting(10**6, dimensions=dimensions, free_bytes=free)
    assert chunk == SMALLEST or 40 * chunk**2 + 8 * dimensions * chunk <= free / 4 * 1.001
