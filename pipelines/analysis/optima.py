"""The best level of each parameter, over the others: what to set it to, and how sure that is.

A level's figures are its marginal means (`levels`), its probability and its comparison with the other levels those
of `best`. The gain is told against the mean of the other levels; as the level was chosen for being the highest, its
interval is wide enough for every level together (Bonferroni).
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from pipelines.analysis import comparisons, student
from pipelines.analysis.best import best_of
from pipelines.analysis.figures import known
from pipelines.analysis.frame import MEASURES, Floats, Frame, numeric
from pipelines.analysis.levels import marginal


@dataclass(frozen=True, slots=True, kw_only=True)
class Optimum:
    """One factor. value: the level with the highest mean, which `others` is the mean of the rest to.

    p_best: P(this level is the best). shown: whether it differs significantly from every other level.
    gain: how much better than others, with its t interval over prompts, 95 % for whichever level was chosen.
    gain_percent: of others.
    recommended: the levels that are not distinguishable from the best, itself among them. low_end, high_end: their
    range, where they are numbers. p_adjusted: against the nearest rival. reason: why it is not shown.
    """

    factor: str
    value: Any
    mean: float | None
    others: float | None
    p_best: float | None
    shown: bool
    gain: float | None
    low: float | None
    high: float | None
    gain_percent: float | None
    recommended: tuple[Any, ...]
    low_end: float | None
    high_end: float | None
    prompts: int
    test: str
    p_adjusted: float | None
    matched: bool
    reason: str | None


def optima(frame: Frame, metric: str, *, alpha: float = 0.05) -> list[Optimum]:
    """One for each factor. Raises BadRequest for an unknown metric."""
    found = (optimum(frame, metric, factor, alpha=alpha) for factor in frame.factors)
    return [each for each in found if each is not None]


def optimum(frame: Frame, metric: str, factor: str, *, alpha: float = 0.05) -> Optimum | None:
    """A factor's best level; None where nothing was measured. Raises BadRequest for an unknown metric or factor."""
    levels = marginal(frame, metric, factor)
    values = [settings[factor] for settings in levels.settings]
    names = [str(place) for place in range(len(values))]
    told = best_of(
        levels.matrix,
        names,
        [f"{factor}={value}" for value in values],
        levels.settings,
        alpha=alpha,
        lower=metric in MEASURES,
    )
    if told.leader is None:
        return None
    at = int(told.leader)
    behind = {int(each.config_id): each for each in told.candidates}
    kept = tuple(
        values[place] for place in range(len(values)) if place == at or _close(behind[place].p_adjusted, alpha)
    )
    gains = comparisons.paired((levels.matrix[:, at] - _others(levels.matrix, at))[:, None]).moments
    # Of two levels the gain of one is the other's loss: one interval. Of more, any could have been chosen.
    levels_seen = int(np.isfinite(levels.matrix).any(axis=0).sum())
    half = student.half_width(gains, 1 - (1 - student.LEVEL) / (levels_seen if levels_seen > 2 else 1))[0]
    mean, gain = behind[at].mean, known(gains.mean[0])
    base = None if mean is None or gain is None else mean - gain
    ordered = [float(value) for value in kept] if all(numeric(value) for value in kept) else []
    return Optimum(
        factor=factor,
        value=values[at],
        mean=mean,
        others=base,
        p_best=behind[at].p_best,
        shown=told.winner is not None,
        gain=gain,
        low=known(gains.mean[0] - half),
        high=known(gains.mean[0] + half),
        gain_percent=None if not base or gain is None else 100 * gain / abs(base),
        recommended=kept,
        low_end=min(ordered, default=None),
        high_end=max(ordered, default=None),
        prompts=told.prompts,
        test=told.test,
        p_adjusted=told.p_adjusted,
        matched=levels.matched,
        reason=told.reason,
    )


def _close(p_adjusted: float | None, alpha: float) -> bool:
    return p_adjusted is not None and p_adjusted > alpha


def _others(matrix: Floats, at: int) -> Floats:
    """By prompt the mean of the other levels, of those that have one."""
    rest = np.delete(matrix, at, axis=1)
    here = np.isfinite(rest)
    total, count = np.where(here, rest, 0.0).sum(axis=1), here.sum(axis=1)
    found = np.full(len(rest), np.nan)
    np.divide(total, count, out=found, where=count > 0)
    return found
