"""All that is told of a chat's embeddings, in chunks that fit into the memory that is free."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from cluster.errors import BadRequest
from pipelines.embeddings.products import ProcessorProducts
from pipelines.embeddings.projection import Projection, project
from pipelines.embeddings.similarity import Products, Similarity, compare

if TYPE_CHECKING:
    from numpy.typing import NDArray

logger = logging.getLogger(__name__)

SMALLEST = 16  # vectors of a chunk: below that it is the machine that has no memory left
BYTES_A_COSINE = 40  # two places, itself, and what sums and histograms make of it for a moment
BYTES_A_NUMBER = 8  # of a vector, which may be in two chunks
SHARE_OF_FREE = 0.25  # of the free memory at most: others live here, too


@dataclass(frozen=True, slots=True, kw_only=True)
class Warned:
    """Something that went otherwise than it was asked for. code is stable."""

    code: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Processed:
    """unit: normalised vectors, float32, shape (n, d). centroid: their mean, shape (d,), not normalised.

    to_centroid: the cosine of each to it, shape (n,), 0 where it has no direction. chunk: vectors of a chunk.
    """

    unit: "NDArray[np.float32]"
    centroid: "NDArray[np.float32]"
    to_centroid: "NDArray[np.float32]"
    similarity: Similarity
    projection: Projection
    chunk: int
    chunks: int
    device: str
    warnings: tuple[Warned, ...]


def fitting(wanted: int, *, dimensions: int, free_bytes: int) -> int:
    """Vectors of a chunk: as many as wanted, or as the memory that is free allows."""
    budget = free_bytes * SHARE_OF_FREE
    # A block of c x c cosines of d dimensions: 40 c^2 + 8 d c <= budget, solved for c.
    half = BYTES_A_NUMBER * dimensions / BYTES_A_COSINE / 2
    fits = int((half**2 + budget / BYTES_A_COSINE) ** 0.5 - half)
    return max(min(wanted, fits), SMALLEST)


def process(
    vectors: "NDArray[np.float32]",
    products: Products,
    *,
    chunk: int,
    double: float,
    most_doubles: int,
    go_on: Callable[[], None] = lambda: None,
) -> Processed:
    """Normalise and compare vectors, shape (n, d), n and d at least 1, in chunks of so many.

    A chunk that finds no memory is halved; a GPU that fails gives way to the processor. Both are warned of. Raises
    BadRequest for a vector without a direction or with a number that is not finite, MemoryError where chunks cannot
    be smaller, and what `go_on` raises.
    """
    unit = _normalised(vectors, chunk)
    warnings: list[Warned] = []
    while True:
        try:
            similarity = compare(unit, products, block=chunk, double=double, most_doubles=most_doubles, go_on=go_on)
            break
        except (MemoryError, RuntimeError) as error:
            memory = isinstance(error, MemoryError) or "out of memory" in str(error)
            if memory and chunk > SMALLEST:
                chunk = max(chunk // 2, SMALLEST)
                warnings.append(
                    Warned(code="chunk_reduced", message=f"memory was short: chunks of {chunk} vectors")
                )
            elif products.name != ProcessorProducts.name:
                logger.warning("the GPU failed, the processor goes on: %s", error)
                products = ProcessorProducts()
                warnings.append(Warned(code="gpu_failed", message=f"the GPU failed: {type(error).__name__}"))
            else:
                raise
    go_on()
    centroid = unit.mean(axis=0, dtype=np.float64)
    length = float(np.linalg.norm(centroid))
    to_centroid = (
        unit @ (centroid / length).astype(np.float32) if length > 1e-9 else np.zeros(len(unit), np.float32)
    )
    return Processed(
        unit=unit,
        centroid=centroid.astype(np.float32),
        to_centroid=np.clip(to_centroid, -1.0, 1.0),
        similarity=similarity,
        projection=project(unit, block=chunk),
        chunk=chunk,
        chunks=-(-len(unit) // chunk),
        device=products.name,
        warnings=tuple(warnings),
    )


def _normalised(vectors: "NDArray[np.float32]", chunk: int) -> "NDArray[np.float32]":
    unit = np.empty(vectors.shape, dtype=np.float32)
    for first in range(0, len(vectors), chunk):
        part = vectors[first : first + chunk].astype(np.float64)
        if not np.isfinite(part).all():
            row = first + int(np.argmin(np.isfinite(part).all(axis=1)))
            raise _wrong(row, "holds a number that is not finite", "NaN and infinity have no place in a vector")
        lengths = np.linalg.norm(part, axis=1, keepdims=True)
        if not lengths.all():
            row = first + int(np.argmin(lengths))
            raise _wrong(row, "is all zeros, which has no direction", "leave it out")
        unit[first : first + chunk] = part / lengths
    return unit


def _wrong(row: int, what: str, hint: str) -> BadRequest:
    return BadRequest(f"embeddings[{row}] {what}", hint=hint, param=f"embeddings[{row}]")
