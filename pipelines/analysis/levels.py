"""Marginal means: a metric by the levels of one factor, or of two together, each with its interval.

A level's value for a prompt is the mean over its configurations' cells; its figure is the mean over prompts,
with its interval over prompts (`limits`). Levels are compared over equal companions: where some combination of the
other settings has cells at every level, only such combinations count, prompt by prompt, so that neither a plan
that crosses not everything nor failed cells tilt one level. The figure says over how many and whether so.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipelines.analysis import student
from pipelines.analysis.figures import known
from pipelines.analysis.frame import Codes, Floats, Frame
from pipelines.analysis.intervals import reason_of
from pipelines.analysis.limits import limits_of
from pipelines.analysis.rounding import settled


@dataclass(frozen=True, slots=True, kw_only=True)
class LevelFigure:
    """One level, or one combination of two. settings: factor to value. prompts: that have it.

    low, high: 95 % interval over prompts. configurations: the mean is over these. matched: whether all levels
    have the same companions. reason: why something is None, or what is to be said of the interval.
    """

    settings: Mapping[str, Any]
    prompts: int
    configurations: int
    mean: float | None
    low: float | None
    high: float | None
    matched: bool
    reason: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Marginal:
    """matrix: by prompt (row) and level (column), NaN where nothing was measured. settings: of each column."""

    settings: tuple[Mapping[str, Any], ...]
    matrix: Floats
    configurations: Codes
    matched: bool


def levels(
    frame: Frame, metric: str, *factors: str, level: float = student.LEVEL, matched: bool = True
) -> list[LevelFigure]:
    """Figures by the levels of one factor or of several (`levels(frame, "overall", "model", "temperature")`).

    matched=False takes every configuration. Raises BadRequest for an unknown metric or factor.
    """
    found = marginal(frame, metric, *factors, matched=matched)
    moments = student.columns_of(found.matrix)
    limits = limits_of(found.matrix, moments=moments, level=level, bounds=frame.bounds(metric))
    return [
        LevelFigure(
            settings=settings,
            prompts=int(moments.n[place]),
            configurations=int(found.configurations[place]),
            mean=known(moments.mean[place]),
            low=known(limits.low[place]),
            high=known(limits.high[place]),
            matched=found.matched,
            reason=reason_of(int(moments.n[place]), flat=bool(limits.flat[place])),
        )
        for place, settings in enumerate(found.settings)
    ]


def marginal(frame: Frame, metric: str, *factors: str, matched: bool = True) -> Marginal:
    """The matrix of a metric by prompt and level. Only combinations of levels that were run have a column."""
    return frame.once(
        ("marginal", metric, factors, matched), lambda: _marginal(frame, metric, factors, matched=matched)
    )


def _marginal(frame: Frame, metric: str, factors: tuple[str, ...], *, matched: bool) -> Marginal:
    means = frame.blocks(metric).mean
    codes = np.stack([frame.level_codes(factor) for factor in factors])
    chosen = (codes >= 0).all(axis=0)
    combinations, column = np.unique(codes[:, chosen], axis=1, return_inverse=True)
    places = np.flatnonzero(chosen)
    companions = _companions(frame, factors, places)
    shared = _shared(companions, column, combinations.shape[1]) if matched else np.zeros(len(places), bool)
    used = shared if shared.any() else np.ones(len(places), bool)
    values, column, companions = means[:, places[used]], column[used], companions[used]
    here, matched = np.isfinite(values), bool(shared.any())
    if matched:
        whole = here & _complete(here, companions, column)
        matched = bool(whole.any())
        here = whole if matched else here
    member = _member(column, combinations.shape[1])
    count = here @ member
    matrix = np.divide(
        np.where(here, values, 0.0) @ member, count, out=np.full(count.shape, np.nan), where=count > 0
    )
    named = [frame.levels(factor) for factor in factors]
    settings = tuple(
        {factor: named[at][code] for at, (factor, code) in enumerate(zip(factors, combination, strict=True))}
        for combination in combinations.T
    )
    return Marginal(
        settings=settings,
        matrix=settled(matrix),
        configurations=member.sum(axis=0).astype(np.int64),
        matched=matched,
    )


def _companions(frame: Frame, factors: tuple[str, ...], places: Codes) -> Codes:
    """For each configuration a code of its settings apart from the factors."""
    said = [str([item for item in frame.said[place].items() if item[0] not in factors]) for place in places]
    return np.unique(np.array(said), return_inverse=True)[1].astype(np.int64)


def _shared(companions: Codes, column: Codes, columns: int) -> NDArray[np.bool_]:
    """Which configurations have companions that were run in every column."""
    crossed = np.zeros((int(companions.max(initial=-1)) + 1, columns), bool)
    crossed[companions, column] = True
    everywhere: NDArray[np.bool_] = np.asarray(crossed.all(axis=1))
    return everywhere[companions]


def _complete(here: NDArray[np.bool_], companions: Codes, column: Codes) -> NDArray[np.bool_]:
    """By prompt and configuration: whether the companions have a cell in every column."""
    _, companions = np.unique(companions, return_inverse=True)
    columns = int(column.max()) + 1
    cells = here @ _member(companions * columns + column, (int(companions.max()) + 1) * columns) > 0
    everywhere: NDArray[np.bool_] = np.asarray(cells.reshape(len(here), -1, columns).all(axis=2))
    return everywhere[:, companions]


def _member(group: Codes, groups: int) -> Floats:
    member = np.zeros((len(group), groups))
    member[np.arange(len(group)), group] = 1
    return member
