"""Quality over time: a point a day, with what the test says of its direction."""

from typing import TYPE_CHECKING

from pipelines.analysis.report import words
from pipelines.analysis.report.chart import Chart, shown
from pipelines.analysis.report.palette import Palette
from pipelines.analysis.report.sheet import Sheet
from pipelines.analysis.trends import Trend

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TICKS = 8


def trend_chart(trend: Trend) -> Chart:
    """The metric by day; days without a run are a gap of that width."""
    days = [point.day.toordinal() for point in trend.points]

    def draw(figure: "Figure", palette: Palette) -> None:
        panel = figure.subplots()
        panel.plot(days, [point.mean for point in trend.points], color=palette.series[0], marker="o", markersize=5)
        step = -(-len(days) // TICKS) or 1
        panel.set_xticks(days[::step], [shown(point.day.isoformat()) for point in trend.points[::step]])
        panel.set_xlabel("day (UTC)")
        panel.set_ylabel(f"mean {words.axis(trend.metric)}")

    return Chart(
        key="trend",
        title=f"{trend.metric} over time",
        caption=f"A day's value is the mean of its runs' means. {verdict(trend)}",
        sheet=Sheet(
            name="trend",
            caption=f"Mean {trend.metric} by day",
            columns=("day", "runs", "cells", "mean"),
            rows=[(point.day.isoformat(), point.runs, point.cells, point.mean) for point in trend.points],
        ),
        height=2.8,
        draw=draw,
    )


def verdict(trend: Trend) -> str:
    """The direction in a sentence, with n, the test, p and the interval; or why there is none."""
    if trend.reason is not None or trend.rate is None:
        return f"No direction is told: {trend.reason or 'no test was made'}."
    rate = f"{words.number(trend.rate, 2)} a day (95 % {words.interval(trend.low, trend.high, 2)})"
    p = words.p_value(trend.p)
    return f"Direction: {trend.direction}, {rate}; {trend.test} over n = {trend.days} days, p {p}."
