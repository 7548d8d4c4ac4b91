"""A grid's effects as orthonormal contrasts: what a factor, or two together, add to the mean of all.

On a full grid the contrasts of different effects are orthogonal, so sums of squares split exactly.
"""

from dataclasses import dataclass
from itertools import combinations

import numpy as np

from pipelines.analysis.frame import Codes, Floats, Frame

WIDEST = 400  # columns of all effects together; more cost seconds and answer nothing that 40 prompts could show


@dataclass(frozen=True, slots=True, kw_only=True)
class Design:
    """effects: their factors. contrasts: of each effect, by configuration (row), orthonormal over the full grid.

    full: whether every combination of levels is one configuration.
    """

    factors: tuple[str, ...]
    effects: tuple[tuple[str, ...], ...]
    contrasts: tuple[Floats, ...]
    full: bool


def design_of(frame: Frame, *, interactions: bool = True) -> Design | None:
    """Main effects and two-way interactions of the frame's factors; None where a configuration lacks a factor.

    An interaction is left out where one of its combinations of levels was never planned.
    """
    factors = frame.factors
    codes = [frame.level_codes(factor) for factor in factors]
    if not factors or any((code < 0).any() for code in codes):
        return None
    sizes = [len(frame.levels(factor)) for factor in factors]
    grid = int(np.prod(sizes, dtype=np.float64))
    distinct = len(np.unique(np.stack(codes), axis=1).T)
    full = grid == distinct == len(frame.configurations)
    places = [(place,) for place in range(len(factors))]
    pairs = list(combinations(range(len(factors)), 2)) if interactions else []
    crossed = [pair for pair in pairs if _crossed(codes, sizes, pair)]
    columns = sum(int(np.prod([sizes[place] - 1 for place in effect])) for effect in [*places, *crossed])
    effects = [*places, *crossed] if columns <= WIDEST else places
    return Design(
        factors=factors,
        effects=tuple(tuple(factors[place] for place in effect) for effect in effects),
        contrasts=tuple(_contrasts(codes, sizes, effect, grid) for effect in effects),
        full=full,
    )


def _crossed(codes: list[Codes], sizes: list[int], pair: tuple[int, int]) -> bool:
    first, second = pair
    return len(np.unique(codes[first] * sizes[second] + codes[second])) == sizes[first] * sizes[second]


def _contrasts(codes: list[Codes], sizes: list[int], effect: tuple[int, ...], grid: int) -> Floats:
    columns = np.ones((len(codes[0]), 1))
    size = 1
    for place in effect:
        one = _helmert(sizes[place])[codes[place]]
        columns = (columns[:, :, None] * one[:, None, :]).reshape(len(columns), -1)
        size *= sizes[place]
    return np.asarray(columns / np.sqrt(grid / size))


def _helmert(levels: int) -> Floats:
    """Orthonormal contrasts of so many levels: each level against those before it."""
    found = np.zeros((levels, levels - 1))
    for column in range(levels - 1):
        found[: column + 1, column] = -1
        found[column + 1, column] = column + 1
    return np.asarray(found / np.sqrt((found**2).sum(axis=0)))
