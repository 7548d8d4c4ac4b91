"""Vectors as points of a plane, for display: principal component analysis."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

AXES = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Projection:
    """points: float32, shape (n, 2). explained: the share of the variance that each axis shows, 0 to 1."""

    points: "NDArray[np.float32]"
    explained: tuple[float, float]


def project(unit: "NDArray[np.float32]", *, block: int) -> Projection:
    """The first two principal components of vectors, shape (n, d), read `block` at a time.

    An axis points to where its largest coefficient is positive, so that the same vectors lie the same way each
    time. Of fewer than three vectors, or of equal ones, axes without variance are 0. (Pearson, 1901.)
    """
    count, dimensions = unit.shape
    centre = unit.mean(axis=0, dtype=np.float64)
    scatter = np.zeros((dimensions, dimensions))
    for first in range(0, count, block):
        part = unit[first : first + block].astype(np.float64) - centre
        scatter += part.T @ part
    variances, vectors = np.linalg.eigh(scatter)
    total = float(variances.sum())
    points = np.zeros((count, AXES), dtype=np.float32)
    explained = [0.0, 0.0]
    for axis in range(min(AXES, dimensions)):
        variance = float(variances[-1 - axis])
        if variance <= 1e-12 * max(total, 1.0):
            continue
        direction = vectors[:, -1 - axis]
        direction = direction * np.sign(direction[np.argmax(np.abs(direction))])
        for first in range(0, count, block):
            points[first : first + block, axis] = (unit[first : first + block] - centre) @ direction
        explained[axis] = variance / total
    return Projection(points=points, explained=(explained[0], explained[1]))
