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
    count = len(unit)
    centre = unit.mean(axis=0, dtype=np.float64)
    variances, directions = _axes(unit, centre, block)
    points = np.zeros((count, AXES), dtype=np.float32)
    explained = [0.0, 0.0]
    total = float(variances.sum())
    for axis, direction in enumerate(directions):
        direction = direction * np.sign(direction[np.argmax(np.abs(direction))])
        for first in range(0, count, block):
            points[first : first + block, axis] = (unit[first : first + block] - centre) @ direction
        explained[axis] = float(variances[-1 - axis]) / total
    return Projection(points=points, explained=(explained[0], explained[1]))


def _axes(
    unit: "NDArray[np.float32]", centre: "NDArray[np.float64]", block: int
) -> tuple["NDArray[np.float64]", list["NDArray[np.float64]"]]:
    """All variances, rising, and the directions of the largest ones that are any.

    Of the products of columns or of rows, whichever are fewer: both have the same variances, and to solve either
    takes the cube of its size.
    """
    count, dimensions = unit.shape
    products = np.zeros((min(count, dimensions),) * 2)
    by_rows = count < dimensions
    for first in range(0, dimensions if by_rows else count, block):
        if by_rows:
            part = unit[:, first : first + block].astype(np.float64) - centre[first : first + block]
            products += part @ part.T
        else:
            part = unit[first : first + block].astype(np.float64) - centre
            products += part.T @ part
    variances, vectors = np.linalg.eigh(products)
    least = 1e-12 * max(float(variances.sum()), 1.0)
    directions = []
    for axis in range(min(AXES, len(variances))):
        if variances[-1 - axis] <= least:
            break
        direction = vectors[:, -1 - axis]
        if by_rows:  # from the rows' weights to the direction that they make together
            direction = (direction @ unit - direction.sum() * centre) / np.sqrt(variances[-1 - axis])
        directions.append(direction)
    return variances, directions
