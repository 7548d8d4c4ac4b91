"""Simple icons of what brewing coffee takes, drawn by code. Coordinates as in outlines.py."""

from dataclasses import dataclass
from typing import Literal

Tone = Literal["main", "dark", "light"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Stroke:
    """One part of an icon. form: an ellipse's or arc's box, a polygon's points, a line's points.

    width: of lines and arcs, as a share of the icon's size. start, end: an arc's, in degrees.
    """

    form: Literal["ellipse", "polygon", "line", "arc"]
    points: tuple[tuple[float, float], ...]
    tone: Tone = "main"
    width: float = 0.08
    start: float = 0.0
    end: float = 360.0


def _ellipse(left: float, top: float, right: float, bottom: float, tone: Tone = "main") -> Stroke:
    return Stroke(form="ellipse", points=((left, top), (right, bottom)), tone=tone)


def _polygon(*points: tuple[float, float], tone: Tone = "main") -> Stroke:
    return Stroke(form="polygon", points=points, tone=tone)


def _line(*points: tuple[float, float], tone: Tone = "main", width: float = 0.08) -> Stroke:
    return Stroke(form="line", points=points, tone=tone, width=width)


def _arc(box: tuple[float, float, float, float], start: float, end: float, width: float = 0.08) -> Stroke:
    return Stroke(form="arc", points=(box[:2], box[2:]), start=start, end=end, width=width)


ICONS: dict[str, tuple[Stroke, ...]] = {
    "cup": (
        _polygon((-0.42, -0.22), (0.25, -0.22), (0.15, 0.36), (-0.32, 0.36)),
        _arc((0.08, -0.15, 0.48, 0.22), -110, 110),
        _polygon((-0.48, 0.4), (0.32, 0.4), (0.26, 0.48), (-0.42, 0.48), tone="dark"),
    ),
    "kettle": (
        _ellipse(-0.36, -0.16, 0.3, 0.46),
        _polygon((-0.28, 0.34), (0.22, 0.34), (0.3, 0.48), (-0.36, 0.48)),
        _polygon((0.2, 0.1), (0.48, -0.2), (0.5, -0.06), (0.26, 0.28)),
        _arc((-0.3, -0.48, 0.24, 0.14), 180, 360),
        _ellipse(-0.08, -0.24, 0.02, -0.12, tone="dark"),
    ),
    "bean": (
        _ellipse(-0.34, -0.5, 0.34, 0.5),
        _line((0.06, -0.48), (-0.08, -0.16), (0.08, 0.16), (-0.06, 0.48), tone="dark", width=0.09),
    ),
    "grinder": (
        _polygon((-0.36, 0.08), (0.36, 0.08), (0.36, 0.5), (-0.36, 0.5)),
        _polygon((-0.32, -0.12), (0.32, -0.12), (0.14, 0.08), (-0.14, 0.08), tone="dark"),
        _line((0.0, -0.12), (0.0, -0.34), (0.36, -0.34), width=0.07),
        _ellipse(0.3, -0.5, 0.48, -0.3, tone="dark"),
        _polygon((-0.2, 0.22), (0.2, 0.22), (0.2, 0.38), (-0.2, 0.38), tone="light"),
    ),
    "filter": (
        _polygon((-0.5, -0.4), (0.5, -0.4), (0.12, 0.24), (-0.12, 0.24)),
        _line((-0.26, -0.36), (-0.06, 0.2), tone="dark", width=0.05),
        _line((0.26, -0.36), (0.06, 0.2), tone="dark", width=0.05),
        _polygon((-0.06, 0.3), (0.06, 0.3), (0.0, 0.48), tone="dark"),
    ),
    "scale": (
        _polygon((-0.48, -0.2), (0.48, -0.2), (0.48, -0.1), (-0.48, -0.1), tone="dark"),
        _polygon((-0.06, -0.1), (0.06, -0.1), (0.06, 0.08), (-0.06, 0.08), tone="dark"),
        _polygon((-0.36, 0.04), (0.36, 0.04), (0.48, 0.42), (-0.48, 0.42)),
        _ellipse(-0.16, 0.08, 0.16, 0.38, tone="light"),
        _line((0.0, 0.24), (0.08, 0.14), tone="dark", width=0.05),
    ),
    "clock": (
        _ellipse(-0.5, -0.5, 0.5, 0.5),
        _ellipse(-0.38, -0.38, 0.38, 0.38, tone="light"),
        _line((0.0, -0.3), (0.0, 0.02), (0.2, 0.12), tone="dark", width=0.07),
    ),
    "spoon": (
        _ellipse(-0.17, -0.5, 0.17, -0.04),
        _line((0.0, -0.1), (0.0, 0.48), width=0.1),
    ),
}
"""What each icon is made of, drawn in order."""
