"""The picture of `benchmarks/scaling.py`: replicas, answers a second and first tokens over time, as SVG."""

from dataclasses import dataclass
from html import escape

Points = list[tuple[float, float]] | list[tuple[float, int]]

WIDE, TALL, GAP = 400, 110, 64  # of a chart, and between two of them
LEFT, TOP = 56, 64
INK, GRID, PAPER = "#24292f", "#d8dee4", "#ffffff"
COLOURS = {"replicas": "#0969da", "clients": "#9a6700", "answers": "#1a7f37", "first": "#cf222e"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """A column of charts. Points are seconds and values."""

    title: str
    seconds: float
    clients: list[tuple[float, int]]
    replicas: list[tuple[float, int]]
    answers: list[tuple[float, float]]
    first_ms: list[tuple[float, float]]


def picture(panels: list[Panel]) -> str:
    """An SVG with a column for each panel."""
    width = LEFT + len(panels) * (WIDE + GAP)
    height = TOP + 3 * (TALL + GAP)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
        f'font-family="system-ui, sans-serif" font-size="12" fill="{INK}">',
        f'<rect width="{width}" height="{height}" fill="{PAPER}"/>',
    ]
    for column, panel in enumerate(panels):
        x = LEFT + column * (WIDE + GAP)
        parts.append(f'<text x="{x}" y="24" font-size="15" font-weight="600">{escape(panel.title)}</text>')
        charts: list[tuple[str, str, Points, bool]] = [
            ("replicas", "replicas", panel.replicas, True),
            ("answers", "answers a second", panel.answers, False),
            ("first", "first token, ms (median of each second)", panel.first_ms, False),
        ]
        for row, (name, label, points, stepped) in enumerate(charts):
            parts += _chart(x, TOP + row * (TALL + GAP), panel, label, COLOURS[name], points, stepped=stepped)
        parts += _clients(x, panel)
    return "\n".join([*parts, "</svg>", ""])


def _chart(
    x: float, y: float, panel: Panel, label: str, colour: str, points: Points, *, stepped: bool
) -> list[str]:
    top = _round_up(max((value for _, value in points), default=1.0))
    parts = [f'<text x="{x}" y="{y - 8}" fill="{colour}">{escape(label)}</text>']
    for share in (0.0, 0.5, 1.0):
        level = y + TALL * (1 - share)
        parts.append(f'<line x1="{x}" y1="{level}" x2="{x + WIDE}" y2="{level}" stroke="{GRID}"/>')
        if share != 0.5 or top >= 2:
            parts.append(f'<text x="{x - 6}" y="{level + 4}" text-anchor="end">{top * share:g}</text>')
    for second in range(0, int(panel.seconds) + 1, 5):
        place = x + WIDE * second / panel.seconds
        parts.append(f'<text x="{place:.1f}" y="{y + TALL + 15}" text-anchor="middle">{second} s</text>')
    line: list[str] = []
    last = None
    for second, value in points:
        across = x + WIDE * min(second, panel.seconds) / panel.seconds
        down = y + TALL * (1 - value / top)
        if stepped and last == down:
            continue
        if stepped and last is not None:
            line.append(f"{across:.1f},{last:.1f}")
        line.append(f"{across:.1f},{down:.1f}")
        last = down
    if stepped and last is not None:
        line.append(f"{x + WIDE},{last:.1f}")
    parts.append(f'<polyline points="{" ".join(line)}" fill="none" stroke="{colour}" stroke-width="2"/>')
    return parts


def _clients(x: float, panel: Panel) -> list[str]:
    """What is asked, above the charts: the clients of each phase."""
    parts = []
    for (begin, count), (end, _) in zip(panel.clients, panel.clients[1:], strict=False):
        left, right = (x + WIDE * moment / panel.seconds for moment in (begin, end))
        told = f"{count} clients" if count else "nobody"
        parts.append(
            f'<line x1="{left:.1f}" y1="{TOP - 4}" x2="{left:.1f}" y2="{TOP + 3 * (TALL + GAP) - GAP}" '
            f'stroke="{COLOURS["clients"]}" stroke-dasharray="3 3"/>'
        )
        middle = (left + right) / 2
        parts.append(
            f'<text x="{middle:.1f}" y="42" text-anchor="middle" fill="{COLOURS["clients"]}">{told}</text>'
        )
    return parts


def _round_up(value: float) -> float:
    """The next number that reads well on an axis."""
    scale = 1.0
    while scale * 10 < value:
        scale *= 10
    return next(step * scale for step in (1, 2, 3, 4, 5, 8, 10) if step * scale >= value)
