"""Every score of a run at a glance: what was measured, nothing inferred but the mean's interval."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from pipelines.analysis import student
from pipelines.analysis.figures import known
from pipelines.analysis.frame import Frame
from pipelines.analysis.limits import limits_of


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricFigure:
    """One metric over all cells. mean: over prompts of their means over cells, with its 95 % interval
    (`limits`).

    sd and the quartiles are of the cells. Everything is None where no cell has the metric.
    """

    metric: str
    prompts: int
    cells: int
    mean: float | None
    low: float | None
    high: float | None
    sd: float | None
    least: float | None
    quartile_1: float | None
    median: float | None
    quartile_3: float | None
    most: float | None


def breakdown(frame: Frame, metrics: Sequence[str] | None = None) -> list[MetricFigure]:
    """A figure for each metric, or for those named. Raises BadRequest for an unknown one."""
    names = frame.metrics if metrics is None else metrics
    return [frame.once(("breakdown", name), partial(_figure, frame, name)) for name in names]


def _figure(frame: Frame, metric: str) -> MetricFigure:
    values = frame.values(metric)
    here = np.isfinite(values)
    prompt, values = frame.prompt[here], values[here]
    count = np.bincount(prompt, minlength=len(frame.prompts))
    total = np.bincount(prompt, weights=values, minlength=len(frame.prompts))
    means = np.divide(total, count, out=np.full(len(count), np.nan), where=count > 0)
    moments = student.columns_of(means[:, None])
    limits = limits_of(means[:, None], moments=moments, bounds=frame.bounds(metric))
    quantiles = np.quantile(values, [0, 0.25, 0.5, 0.75, 1]) if len(values) else np.full(5, np.nan)
    least, first, median, third, most = (known(value) for value in quantiles)
    return MetricFigure(
        metric=metric,
        prompts=int(moments.n[0]),
        cells=len(values),
        mean=known(moments.mean[0]),
        low=known(limits.low[0]),
        high=known(limits.high[0]),
        sd=known(values.std(ddof=1)) if len(values) > 1 else None,
        least=least,
        quartile_1=first,
        median=median,
        quartile_3=third,
        most=most,
    )
