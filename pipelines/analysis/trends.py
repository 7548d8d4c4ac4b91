"""Quality over time: one point a day, and a direction only where a test shows one.

A day's value is the mean over its runs of their means, so that one large sweep is one voice; days are the sample.
Direction by the Mann-Kendall test, rate by Sen's slope (`kendall`). What it shows is that later runs score
otherwise; other prompts or models on those days would do that too.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime

import numpy as np
from numpy.typing import NDArray

from pipelines.analysis.figures import known
from pipelines.analysis.frame import Codes, Floats, Frame
from pipelines.analysis.kendall import slope_of
from pipelines.analysis.rounding import settled

INCREASING, DECREASING, STABLE = "increasing", "decreasing", "stable"
TEST = "Mann-Kendall test"
FEWEST = 5  # days; of four, the most orderly have p = 0.083


@dataclass(frozen=True, slots=True, kw_only=True)
class DayPoint:
    """One UTC day. runs, cells: that have the metric. metrics: the day's means of others that were asked for."""

    day: date
    mean: float
    runs: int
    cells: int
    metrics: Mapping[str, float | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Trend:
    """direction: increasing or decreasing where p is at most alpha, else stable. rate: per day, 95 % interval.

    days: n of the test. reason: why there is no test.
    """

    metric: str
    points: tuple[DayPoint, ...]
    direction: str
    rate: float | None
    low: float | None
    high: float | None
    p: float | None
    days: int
    test: str
    reason: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Period:
    """Consecutive calendar days. mean: of the days that have a value."""

    start: date
    end: date
    mean: float


def trend(frame: Frame, metric: str, *, metrics: Sequence[str] = (), alpha: float = 0.05) -> Trend:
    """The trend over a frame's cells, of one run or many. Raises BadRequest for an unknown metric."""
    others = {name: frame.values(name) for name in metrics}
    return _trend(metric, frame.started, frame.values(metric), frame.run, others, alpha)


def trend_of(
    metric: str,
    moments: Sequence[datetime],
    values: Sequence[float | None],
    runs: Sequence[object],
    *,
    others: Mapping[str, Sequence[float | None]] | None = None,
    alpha: float = 0.05,
) -> Trend:
    """The same of plain values, as a database has them. moments: aware or UTC. runs: whose value it is."""
    places = {run: place for place, run in enumerate(dict.fromkeys(runs))}
    return _trend(
        metric,
        np.array([moment.timestamp() if moment.tzinfo else _utc(moment) for moment in moments], "float64")
        .astype("datetime64[s]")
        .astype("datetime64[us]"),
        np.array(values, np.float64),
        np.array([places[run] for run in runs], np.int64),
        {name: np.array(column, np.float64) for name, column in (others or {}).items()},
        alpha,
    )


def best_period(points: Sequence[DayPoint], days: int = 5) -> Period | None:
    """The calendar days in a row, so many at most, with the highest mean; None without points.

    The earliest of equals. It was chosen for being the highest: chance has its part in that.
    """
    found: Period | None = None
    for place, first in enumerate(points):
        inside = [point for point in points[place:] if (point.day - first.day).days < days]
        if found is not None and len(points) >= days > len(inside):
            continue  # the end of the series: fewer days swing more, so they are no fair rivals
        mean = sum(point.mean for point in inside) / len(inside)
        if found is None or mean > found.mean:
            found = Period(start=first.day, end=inside[-1].day, mean=mean)
    return found


def _utc(moment: datetime) -> float:
    return (moment - datetime(1970, 1, 1)).total_seconds()  # naive means UTC


def _trend(
    metric: str,
    started: NDArray[np.datetime64],
    values: Floats,
    run: Codes,
    others: Mapping[str, Floats],
    alpha: float,
) -> Trend:
    here = np.isfinite(values) & ~np.isnat(started)
    day = started[here].astype("datetime64[D]").astype(np.int64)
    days, place = np.unique(day, return_inverse=True)
    mean, runs = _by_day(place, run[here], values[here], len(days))
    rest = {name: _by_day(place, run[here], column[here], len(days))[0] for name, column in others.items()}
    cells = np.bincount(place, minlength=len(days))
    points = tuple(
        DayPoint(
            day=days[at].astype("datetime64[D]").item(),
            mean=float(mean[at]),
            runs=int(runs[at]),
            cells=int(cells[at]),
            metrics={name: known(column[at]) for name, column in rest.items()},
        )
        for at in range(len(days))
    )
    tested = len(days) >= FEWEST
    slope = slope_of(days.astype(np.float64), mean) if len(days) > 1 else None
    direction = STABLE
    if slope is not None and tested and slope.p <= alpha:
        direction = INCREASING if slope.slope > 0 else DECREASING
    return Trend(
        metric=metric,
        points=points,
        direction=direction,
        rate=None if slope is None else known(slope.slope),
        low=known(slope.low) if slope is not None and tested else None,
        high=known(slope.high) if slope is not None and tested else None,
        p=slope.p if slope is not None and tested else None,
        days=len(days),
        test=TEST,
        reason=None if tested else f"a trend needs {FEWEST} days with values, and there are {len(days)}",
    )


def _by_day(place: Codes, run: Codes, values: Floats, days: int) -> tuple[Floats, Codes]:
    """Each day's mean over runs of their means, and how many runs."""
    here = np.isfinite(values)
    place, run, values = place[here], run[here], values[here]
    if not len(values):
        return np.full(days, np.nan), np.zeros(days, np.int64)
    groups, group = np.unique(place * (int(run.max()) + 1) + run, return_inverse=True)
    means, day = np.bincount(group, weights=values) / np.bincount(group), groups // (int(run.max()) + 1)
    count, total = np.bincount(day, minlength=days), np.bincount(day, weights=means, minlength=days)
    return settled(np.divide(total, count, out=np.full(days, np.nan), where=count > 0)), count
