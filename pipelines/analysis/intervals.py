"""Each configuration's mean with its interval.

A cell's value is the mean over its repeats, a configuration's figure the mean of its cells over prompts. The
interval is over the prompts' means, by Student's t corrected for their skewness (`limits`): for equal repeats and
symmetric prompts it is the clustered standard error of Miller 2024 (arXiv 2411.00640, eq. 4) with the t quantile.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pipelines.analysis import student
from pipelines.analysis.figures import known
from pipelines.analysis.frame import Frame
from pipelines.analysis.limits import NO_SPREAD_KNOWN, limits_of

ONE_PROMPT = "an interval needs two prompts or more"
NO_VALUES = "no cell has this metric"


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfigurationFigure:
    """One configuration. prompts, cells: that have the metric. low, high: 95 % interval of the mean over prompts.

    errors: cells that failed; the figures are of the others alone. sd: of the prompts' means. reason: why something
    is None, or what is to be said of the interval.
    """

    config_id: str
    label: str
    model: str
    parameters: Mapping[str, Any]
    prompts: int
    cells: int
    errors: int
    mean: float | None
    sd: float | None
    low: float | None
    high: float | None
    reason: str | None


def configurations(frame: Frame, metric: str, *, level: float = student.LEVEL) -> list[ConfigurationFigure]:
    """A figure for each configuration, in the plan's order. Raises BadRequest for an unknown metric."""
    blocks = frame.blocks(metric)
    moments = student.columns_of(blocks.mean)
    limits = limits_of(blocks.mean, moments=moments, level=level, bounds=frame.bounds(metric))
    cells = blocks.count.sum(axis=0)
    return [
        ConfigurationFigure(
            config_id=configuration.id,
            label=configuration.label,
            model=configuration.model,
            parameters=configuration.parameters,
            prompts=int(moments.n[place]),
            cells=int(cells[place]),
            errors=configuration.errors,
            mean=known(moments.mean[place]),
            sd=known(moments.sd[place]),
            low=known(limits.low[place]),
            high=known(limits.high[place]),
            reason=reason_of(int(moments.n[place]), flat=bool(limits.flat[place])),
        )
        for place, configuration in enumerate(frame.configurations)
    ]


def reason_of(prompts: int, *, flat: bool) -> str | None:
    """Why there is no interval, or why it is so wide; None for a plain one."""
    if prompts < 2:
        return (NO_VALUES, ONE_PROMPT)[prompts]
    return NO_SPREAD_KNOWN if flat else None
