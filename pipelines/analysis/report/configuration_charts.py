"""Charts of configurations: their means in order, and how their prompts are spread."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from pipelines.analysis.intervals import ConfigurationFigure
from pipelines.analysis.report import words
from pipelines.analysis.report.chart import Chart, shown
from pipelines.analysis.report.palette import Palette
from pipelines.analysis.report.results import Results
from pipelines.analysis.report.sheet import Sheet

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

POINTS = 250  # of a configuration: of more prompts every second one is drawn, or every third
MOST = 24  # configurations that are drawn: the table has all


def ranked(results: Results) -> list[ConfigurationFigure]:
    """The configurations with figures, the highest mean first."""
    assert results.findings is not None
    known = [one for one in results.findings.configurations if one.mean is not None]
    return sorted(known, key=lambda one: -(one.mean or 0.0))


def label_of(results: Results, config_id: str) -> str:
    """A configuration by the parameters that vary in this run."""
    for one in results.frame.configurations:
        if one.id == config_id:
            return words.settings(one.settings, results.frame.factors)
    return config_id


def ranking(results: Results) -> Chart:
    """Each configuration's mean with its interval, the best on top."""
    every = ranked(results)
    drawn = every[:MOST]

    def draw(figure: "Figure", palette: Palette) -> None:
        panel = figure.subplots()
        for place, one in enumerate(drawn):
            if one.low is not None and one.high is not None:
                panel.plot([one.low, one.high], [place, place], color=palette.series[0], linewidth=1.6)
            panel.plot([one.mean or 0.0], [place], marker="o", markersize=5, color=palette.series[0])
        _names(panel, results, drawn)
        panel.set_xlabel(f"mean {words.axis(results.metric)}")

    more = f" The best {MOST} of {len(every)} are drawn." if len(every) > MOST else ""
    return Chart(
        key="ranking",
        title=f"Configurations by {results.metric}",
        caption=f"Mean over prompts, with its 95 % interval (Student's t over n = {_n(drawn)} prompts, "
        "corrected for skewness). Intervals that overlap do not show that two are equal: see the comparisons, "
        f"which pair the prompts.{more}",
        sheet=configuration_sheet(results),
        height=0.8 + 0.24 * max(3, len(drawn)),
        draw=draw,
    )


def distributions(results: Results) -> Chart:
    """How each configuration's prompts are spread: a point a prompt, the box from quarter to quarter."""
    drawn = ranked(results)[:MOST]
    places = {one.id: place for place, one in enumerate(results.frame.configurations)}
    means = results.frame.blocks(results.metric).mean
    spreads = [_finite(means[:, places[one.config_id]]) for one in drawn]

    def draw(figure: "Figure", palette: Palette) -> None:
        panel = figure.subplots()
        for place, values in enumerate(spreads):
            low, middle, high = np.percentile(values, (25, 50, 75))
            values = values[:: -(-len(values) // POINTS)]
            # Points are moved aside by their rank, so that the same rows make the same picture.
            aside = 0.24 * np.sin(2.4 * np.arange(len(values)))
            panel.plot(
                values,
                place + aside,
                linestyle="none",
                marker="o",
                markersize=2.6,
                color=palette.muted,
                alpha=0.55,
                markeredgewidth=0,
            )
            panel.plot([low, high], [place, place], color=palette.series[0], linewidth=4.5, solid_capstyle="butt")
            panel.plot([middle], [place], marker="|", markersize=11, markeredgewidth=2, color=palette.series[1])
        _names(panel, results, drawn)
        panel.set_xlabel(words.axis(results.metric))

    rows = [
        (label_of(results, one.config_id), len(v), *(float(x) for x in np.percentile(v, (0, 25, 50, 75, 100))))
        for one, v in zip(drawn, spreads, strict=True)
    ]
    most = max((len(values) for values in spreads), default=0)
    thinned = f" Of {most} points about {POINTS} are drawn." if most > POINTS else ""
    return Chart(
        key="distributions",
        title=f"Spread of {results.metric} over prompts",
        caption=f"A point is one prompt's mean over its repeats (n = {_n(drawn)} prompts), the bar the middle half "
        f"of them, the line across it the median.{thinned}",
        sheet=Sheet(
            name="distributions",
            caption=f"{results.metric} of prompts' means by configuration",
            columns=("configuration", "prompts", "least", "quarter", "median", "three quarters", "most"),
            rows=rows,
        ),
        height=0.8 + 0.28 * max(3, len(drawn)),
        draw=draw,
    )


def configuration_sheet(results: Results) -> Sheet:
    """All configurations with figures, the best first, then those without."""
    assert results.findings is not None
    known = ranked(results)
    rest = [one for one in results.findings.configurations if one.mean is None]
    chances = {one.config_id: one.p_best for one in results.findings.best.candidates}
    return Sheet(
        name="configurations",
        caption=f"{results.metric} by configuration: mean over prompts with its 95 % interval, and the probability "
        "to be the best",
        columns=("configuration", "prompts", "cells", "errors", "mean", "low", "high", "sd", "p_best", "config_id"),
        rows=[
            (
                label_of(results, one.config_id),
                one.prompts,
                one.cells,
                one.errors,
                one.mean,
                one.low,
                one.high,
                one.sd,
                chances.get(one.config_id),
                one.config_id,
            )
            for one in [*known, *rest]
        ],
    )


def _names(panel: "Axes", results: Results, drawn: Sequence[ConfigurationFigure]) -> None:
    labels = [shown(label_of(results, one.config_id)) for one in drawn]
    panel.set_yticks(range(len(labels)), labels)
    panel.set_ylim(len(labels) - 0.5, -0.5)
    panel.grid(visible=False, axis="y")


def _finite(values: "np.typing.NDArray[np.float64]") -> "np.typing.NDArray[np.float64]":
    return np.sort(values[np.isfinite(values)])


def _n(drawn: Sequence[ConfigurationFigure]) -> str:
    counts = sorted({one.prompts for one in drawn}) or [0]
    return str(counts[0]) if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
