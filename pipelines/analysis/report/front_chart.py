"""The Pareto front: quality against one cost, with how sure each configuration's place on it is."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from pipelines.analysis.pareto import Point
from pipelines.analysis.report import words
from pipelines.analysis.report.chart import Chart, shown
from pipelines.analysis.report.configuration_charts import label_of
from pipelines.analysis.report.palette import Palette
from pipelines.analysis.report.results import Results
from pipelines.analysis.report.sheet import Sheet

if TYPE_CHECKING:
    from matplotlib.figure import Figure

NAMED = 5  # configurations that have their name in the picture
TITLES = {name: title for name, (title, _) in words.UNITS.items()}


def pareto(results: Results, cost: str) -> Chart:
    """Each configuration's quality and cost. A large filled point is on the front in most bootstrap draws."""
    assert results.findings is not None
    front = results.findings.front
    known = [point for point in front.points if point.quality is not None and point.costs.get(cost) is not None]

    def draw(figure: "Figure", palette: Palette) -> None:
        _draw(figure, palette, results, known, cost)

    objectives = ", ".join([f"{results.metric} up", *(f"{TITLES.get(c, c)} down" for c in front.costs)])
    counts = sorted({point.prompts for point in known}) or [0]
    n = str(counts[0]) if counts[0] == counts[-1] else f"{counts[0]} to {counts[-1]}"
    return Chart(
        key=f"front-{cost}".replace("_", "-"),
        title=f"{results.metric} against {TITLES.get(cost, cost)}",
        caption=f"Filled circles: no other configuration is as good in everything ({objectives}). The larger a "
        f"point, the larger the share of {front.draws} bootstrap draws over n = {n} prompts that have it there.",
        sheet=Sheet(
            name="front",
            caption="The Pareto front, and the share of bootstrap draws in which a configuration is on it",
            columns=("configuration", "prompts", results.metric, *front.costs, "on the front", "share of draws"),
            rows=[
                (
                    label_of(results, point.config_id),
                    point.prompts,
                    point.quality,
                    *(point.costs[one] for one in front.costs),
                    point.member,
                    point.membership,
                )
                for point in front.points
            ],
        ),
        height=3.4,
        draw=draw,
    )


def _draw(figure: "Figure", palette: Palette, results: Results, known: Sequence[Point], cost: str) -> None:
    panel = figure.subplots()
    for point in known:
        panel.plot(
            [point.costs[cost] or 0.0],
            [point.quality or 0.0],
            marker="o" if point.member else "s",
            markersize=4 + 6 * (point.membership or 0.0),
            color=palette.series[0] if point.member else "none",
            markeredgecolor=palette.series[0] if point.member else palette.muted,
            linestyle="none",
        )
    panel.margins(x=0.12, y=0.14)
    middle = sum(panel.get_xlim()) / 2
    for point in _named(known, cost):
        left = (point.costs[cost] or 0.0) <= middle  # a name goes where there is room
        panel.annotate(
            shown(label_of(results, point.config_id), 34),
            (point.costs[cost] or 0.0, point.quality or 0.0),
            xytext=(6 if left else -6, 6),
            ha="left" if left else "right",
            textcoords="offset points",
            fontsize=7.5,
        )
    panel.set_xlabel(f"mean {words.axis(cost)}: less is better")
    panel.set_ylabel(f"mean {words.axis(results.metric)}")


def _named(known: Sequence[Point], cost: str) -> list[Point]:
    """The likeliest members, as far as their names have room beside one another."""
    if not known:
        return []
    costs, qualities = [point.costs[cost] or 0.0 for point in known], [point.quality or 0.0 for point in known]
    wide, high = max(costs) - min(costs) or 1.0, max(qualities) - min(qualities) or 1.0
    found: list[Point] = []
    for point in sorted((p for p in known if p.member), key=lambda p: -(p.membership or 0.0)):
        across, up = (point.costs[cost] or 0.0) / wide, (point.quality or 0.0) / high
        near = any(
            abs(across - (one.costs[cost] or 0.0) / wide) < 0.3 and abs(up - (one.quality or 0.0) / high) < 0.07
            for one in found
        )
        if not near and len(found) < NAMED:
            found.append(point)
    return found
