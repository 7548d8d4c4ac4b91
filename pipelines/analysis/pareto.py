"""Which configurations are worth their price: the Pareto front of quality up, latency and tokens down.

A configuration is on the front when no other is at least as good in everything and better in something. The figures
are means over prompts of means over repeats, with errors of their own; so each configuration has a membership: the
share of cluster-bootstrap draws of prompts in which it is on the front.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipelines.analysis import resamples
from pipelines.analysis.figures import known
from pipelines.analysis.frame import Floats, Frame

DRAWS = 300  # a share's Monte Carlo error is then at most 2.9 percentage points
COSTS = ("latency_ms", "completion_tokens")


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """One configuration. quality: mean of the metric; costs: mean of each cost in its unit.

    member: on the front of the means. membership: share of draws in which it is; None where it has no figures.
    """

    config_id: str
    label: str
    prompts: int
    quality: float | None
    costs: dict[str, float | None]
    member: bool
    membership: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Front:
    """points: every configuration, in the plan's order. costs: those that were used: the ones that were measured.

    draws: of the bootstrap, 0 where there are fewer than two prompts. reason: why there is no front or membership.
    """

    quality: str
    costs: tuple[str, ...]
    points: tuple[Point, ...]
    draws: int
    reason: str | None


def front(frame: Frame, quality: str, costs: Sequence[str] = COSTS) -> Front:
    """The front. A cost that no cell has is left out. Raises BadRequest for an unknown metric or cost."""
    used = tuple(cost for cost in costs if np.isfinite(frame.values(cost)).any())
    matrices = [frame.blocks(quality).mean, *(frame.blocks(cost).mean for cost in used)]
    # A prompt counts for a configuration with all its figures, or not at all.
    both = np.logical_and.reduce([np.isfinite(matrix) for matrix in matrices])
    prompts = both.sum(axis=0)
    signs = [1.0, *(-1.0 for _ in used)]
    goods = [sign * np.where(both, matrix, np.nan) for sign, matrix in zip(signs, matrices, strict=True)]
    counted = np.maximum(prompts, 1)
    means = np.stack([np.where(prompts > 0, np.nansum(good, axis=0) / counted, np.nan) for good in goods])
    member = members(means[:, None, :])[0]
    drawn = len(frame.prompts) > 1 and bool(both.any())
    share = np.full(len(prompts), np.nan)
    if drawn:
        share = members(np.stack([resamples.means(good, DRAWS) for good in goods])).mean(axis=0)
    points = [
        Point(
            config_id=configuration.id,
            label=configuration.label,
            prompts=int(prompts[place]),
            quality=known(means[0, place]),
            costs={cost: known(-means[row + 1, place]) for row, cost in enumerate(used)},
            member=bool(member[place]),
            membership=known(share[place]) if prompts[place] else None,
        )
        for place, configuration in enumerate(frame.configurations)
    ]
    reason = None if drawn else "a membership needs two prompts or more" if both.any() else "nothing was measured"
    return Front(quality=quality, costs=used, points=tuple(points), draws=DRAWS if drawn else 0, reason=reason)


def members(goods: Floats) -> NDArray[np.bool_]:
    """Which points no other dominates. goods: (objective, draw, point), more is better; NaN is never a member.

    The point with the greatest sum of all objectives is on the front always; it is taken, what it dominates is
    dropped, and so on: as many steps as the largest front has points, for all draws at once.
    """
    alive = np.asarray(np.isfinite(goods).all(axis=0))
    found = np.zeros(alive.shape, bool)
    draw, point = np.nonzero(alive)
    values = goods[:, draw, point]
    if not values.size:
        return found
    spread = values.std(axis=1, keepdims=True)
    total = ((values - values.mean(axis=1, keepdims=True)) / np.where(spread > 0, spread, 1.0)).sum(axis=0)
    while len(draw):
        starts = np.flatnonzero(np.r_[True, draw[1:] != draw[:-1]])
        group = np.repeat(np.arange(len(starts)), np.diff(np.r_[starts, len(draw)]))
        greatest = np.maximum.reduceat(total, starts)[group]
        at_top = np.flatnonzero(total == greatest)
        chosen = np.empty(len(starts), np.int64)
        chosen[group[at_top]] = at_top  # any of those with an equal sum
        dominated = (values <= values[:, chosen][:, group]).all(axis=0)
        # No better anywhere and of an equal sum: equal everywhere, so on the front, too.
        equal = dominated & (total == greatest)
        found[draw[equal], point[equal]] = True
        draw, point, values, total = draw[~dominated], point[~dominated], values[:, ~dominated], total[~dominated]
    return found
