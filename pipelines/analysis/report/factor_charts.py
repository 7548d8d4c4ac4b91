"""Charts of parameters: main effects, interactions of two, heat maps of two."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pipelines.analysis.frame import numeric
from pipelines.analysis.levels import LevelFigure
from pipelines.analysis.report import words
from pipelines.analysis.report.chart import Chart, shown
from pipelines.analysis.report.palette import HEAT, MARKERS, ON_DARK, ON_LIGHT, Palette, contrast
from pipelines.analysis.report.results import Results
from pipelines.analysis.report.sheet import Sheet

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

BARS = (
    "Bars are 95 % intervals of the mean over prompts (Student's t, corrected for skewness); repeats of a prompt "
    "count as one."
)
PANELS = 3  # side by side
FIGURES = 80  # fields of a heat map that still have room for their figures
FIGURE_COLUMNS = ("prompts", "mean", "low", "high")


def main_effects(results: Results) -> Chart:
    """One panel a parameter: the metric's mean at each of its values."""
    assert results.findings is not None
    effects = results.findings.effects
    rows = [
        (name, words.level(one.settings[name]), one.prompts, one.configurations, one.mean, one.low, one.high)
        for name, found in effects.items()
        for one in found
    ]
    lines = -(-len(effects) // PANELS)

    def draw(figure: "Figure", palette: Palette) -> None:
        panels = figure.subplots(lines, min(PANELS, len(effects)), sharey=True, squeeze=False).flatten()
        for panel, (name, found) in zip(panels, effects.items(), strict=False):
            places = _places([one.settings[name] for one in found])
            _points(panel, places, found, palette.series[0], "o", joined=numeric(found[0].settings[name]))
            _ticks(panel, places, [one.settings[name] for one in found])
            panel.set_xlabel(shown(name))
        for panel in panels[len(effects) :]:
            panel.set_visible(False)
        for panel in panels[::PANELS]:
            panel.set_ylabel(f"mean {words.axis(results.metric)}")

    return Chart(
        key="main-effects",
        title=f"Main effects on {results.metric}",
        caption=f"Mean {results.metric} at each value of a parameter, over all values of the others; "
        f"n = {_prompts(row[2] for row in rows)} prompts. {BARS}",
        sheet=Sheet(
            name="main effects",
            caption=f"Mean {results.metric} by parameter value, 95 % interval over prompts",
            columns=("parameter", "value", "prompts", "configurations", "mean", "low", "high"),
            rows=rows,
        ),
        height=0.6 + 2.3 * lines,
        draw=draw,
    )


def interaction(results: Results, first: str, second: str) -> Chart:
    """Lines over the first parameter, one for each value of the second: parallel where they don't interact."""
    found = _pair(results, first, second)
    lines = _by(found, second)

    def draw(figure: "Figure", palette: Palette) -> None:
        panel = figure.subplots()
        values = list(dict.fromkeys(one.settings[first] for one in found))
        every = dict(zip(map(repr, values), _places(values), strict=True))
        step = _step(list(every.values()))
        for place, (value, figures) in enumerate(lines.items()):
            # Side by side, so that no interval hides another.
            shift = step * 0.06 * (place - (len(lines) - 1) / 2)
            at = [every[repr(one.settings[first])] + shift for one in figures]
            colour = palette.series[place % len(palette.series)]
            _points(panel, at, figures, colour, MARKERS[place % len(MARKERS)], joined=True, label=shown(value))
        _ticks(panel, list(every.values()), values)
        panel.set_xlabel(shown(first))
        panel.set_ylabel(f"mean {words.axis(results.metric)}")
        panel.legend(title=shown(second), loc="center left", bbox_to_anchor=(1.0, 0.5))

    return Chart(
        key=_key("interaction", first, second),
        title=f"{first} and {second} together",
        caption=f"Mean {results.metric} over {first}, a line for each value of {second}; lines that are not "
        f"parallel suggest an interaction. n = {_prompts(one.prompts for one in found)} prompts. {BARS}",
        sheet=_sheet(results, "interaction", first, second),
        height=3.1,
        draw=draw,
    )


def heat_map(results: Results, first: str, second: str) -> Chart:
    """The metric's mean for each combination of two parameters' values; empty where there is none."""
    found = _pair(results, first, second)
    across = list(dict.fromkeys(words.level(one.settings[first]) for one in found))
    down = list(
        dict.fromkeys(words.level(one.settings[second]) for one in sorted(found, key=_order(results, second)))
    )

    def draw(figure: "Figure", palette: Palette) -> None:
        panel = figure.subplots()
        panel.grid(visible=False)
        means = [[float("nan")] * len(across) for _ in down]
        for one in found:
            if one.mean is not None:
                means[down.index(words.level(one.settings[second]))][
                    across.index(words.level(one.settings[first]))
                ] = one.mean
        fields = panel.pcolormesh(means, cmap=HEAT, edgecolors=palette.muted, linewidth=0.4)
        panel.set_xticks([place + 0.5 for place in range(len(across))], [shown(name, 12) for name in across])
        panel.set_yticks([place + 0.5 for place in range(len(down))], [shown(name, 24) for name in down])
        panel.set_xlabel(shown(first))
        panel.set_ylabel(shown(second))
        bar = figure.colorbar(fields, ax=panel)
        bar.set_label(f"mean {words.axis(results.metric)}")
        assert bar.solids is not None
        bar.solids.set_rasterized(False)  # as pixels it would be a file inside the page
        bar.solids.set_edgecolor("face")
        if len(found) <= FIGURES:
            _figures(panel, means, fields)

    return Chart(
        key=_key("heat-map", first, second),
        title=f"{results.metric} by {first} and {second}",
        caption=f"Mean {results.metric} for each combination, lighter is higher; an empty field was not measured. "
        f"n = {_prompts(one.prompts for one in found)} prompts; the intervals are in the table.",
        sheet=_sheet(results, "heat map", first, second),
        height=max(2.4, 0.9 + 0.34 * len(down)),
        draw=draw,
    )


def _figures(panel: "Axes", means: Sequence[Sequence[float]], fields: Any) -> None:
    from matplotlib.colors import to_hex

    for down, row in enumerate(means):
        for across, mean in enumerate(row):
            if mean == mean:
                field = to_hex(fields.to_rgba(mean))
                colour = max((ON_LIGHT, ON_DARK), key=lambda one: contrast(one, field))
                place = (across + 0.5, down + 0.5)
                panel.annotate(words.number(mean), place, ha="center", va="center", color=colour)


def _points(
    panel: "Axes",
    places: Sequence[float],
    figures: Sequence[LevelFigure],
    colour: str,
    marker: str,
    *,
    joined: bool,
    label: str | None = None,
) -> None:
    """Means with their intervals; a mean without an interval is a point alone."""
    there = [(place, one) for place, one in zip(places, figures, strict=True) if one.mean is not None]
    for place, one in there:
        if one.low is not None and one.high is not None:
            panel.plot([place, place], [one.low, one.high], color=colour, linewidth=1.3, solid_capstyle="butt")
    means = [one.mean for _, one in there]
    line = "-" if joined else "none"
    at = [place for place, _ in there]
    panel.plot(at, means, color=colour, marker=marker, markersize=5, linestyle=line, linewidth=1.2, label=label)  # type: ignore[arg-type]


def _places(values: Sequence[Any]) -> list[float]:
    """Numbers stand where they are, names side by side."""
    if all(numeric(value) for value in values) and len(set(values)) == len(values):
        return [float(value) for value in values]
    return [float(place) for place in range(len(values))]


def _ticks(panel: "Axes", places: Sequence[float], values: Sequence[Any]) -> None:
    few = len(values) <= 8
    kept = range(len(values)) if few else range(0, len(values), -(-len(values) // 8))
    panel.set_xticks([places[place] for place in kept], [shown(words.level(values[place]), 14) for place in kept])
    room = 0.5 * _step(places)
    panel.set_xlim(min(places) - room, max(places) + room)


def _step(places: Sequence[float]) -> float:
    return (max(places) - min(places)) / (len(places) - 1) if len(places) > 1 else 1.0


def _pair(results: Results, first: str, second: str) -> Sequence[LevelFigure]:
    assert results.findings is not None
    return results.findings.pairs[first, second]


def _by(found: Sequence[LevelFigure], name: str) -> Mapping[str, list[LevelFigure]]:
    lines: dict[str, list[LevelFigure]] = {}
    for one in found:
        lines.setdefault(words.level(one.settings[name]), []).append(one)
    return lines


def _order(results: Results, name: str) -> Any:
    levels = [words.level(level) for level in results.frame.levels(name)]
    return lambda one: levels.index(words.level(one.settings[name]))


def _sheet(results: Results, name: str, first: str, second: str) -> Sheet:
    rows = [
        (
            words.level(one.settings[first]),
            words.level(one.settings[second]),
            one.prompts,
            one.mean,
            one.low,
            one.high,
        )
        for one in _pair(results, first, second)
    ]
    caption = f"Mean {results.metric} by {first} and {second}, 95 % interval over prompts"
    return Sheet(name=name, caption=caption, columns=(first, second, *FIGURE_COLUMNS), rows=rows)


def _prompts(counts: Any) -> str:
    found = sorted(set(counts)) or [0]
    return str(found[0]) if len(found) == 1 else f"{found[0]} to {found[-1]}"


def _key(kind: str, *names: str) -> str:
    plain = "".join(c if c.isascii() and c.isalnum() else "-" for c in "-".join(names))
    return f"{kind}-{plain}"
