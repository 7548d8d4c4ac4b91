"""The outlines of shapes: points in a square of side 1 around the origin, y downwards."""

import math
from functools import cache

Point = tuple[float, float]

SHAPES = (
    "circle",
    "square",
    "triangle",
    "rectangle",
    "star",
    "heart",
    "diamond",
    "cross",
    "pentagon",
    "hexagon",
    "ring",
    "oval",
)
TURN = {"circle": 0, "square": 15, "triangle": 20, "rectangle": 15, "star": 36, "heart": 20, "diamond": 8}
TURN |= {"cross": 14, "pentagon": 36, "hexagon": 30, "ring": 0, "oval": 30}
"""How far a shape may be turned, in degrees: a square turned by half a right angle would be a diamond."""

_ROUND_POINTS = 36


@cache
def outline(kind: str, aspect: float) -> tuple[Point, ...]:
    """Return a shape's corners. aspect: the width over the height of rectangles, ovals and diamonds."""
    wide, high = (0.5, 0.5 / aspect) if aspect >= 1 else (0.5 * aspect, 0.5)
    if kind in ("square", "rectangle"):
        return ((-wide, -high), (wide, -high), (wide, high), (-wide, high))
    if kind == "diamond":
        return ((0, -high), (wide, 0), (0, high), (-wide, 0))
    if kind in ("circle", "ring", "oval"):
        turns = [2 * math.pi * n / _ROUND_POINTS for n in range(_ROUND_POINTS)]
        return tuple((wide * math.cos(turn), high * math.sin(turn)) for turn in turns)
    if kind == "triangle":
        return ((0, -high), (wide, high), (-wide, high))
    if kind == "star":
        return _star(5, 0.21)
    if kind == "heart":
        return _heart()
    if kind == "cross":
        a, b = 0.16, 0.5
        return (
            (-a, -b),
            (a, -b),
            (a, -a),
            (b, -a),
            (b, a),
            (a, a),
            (a, b),
            (-a, b),
            (-a, a),
            (-b, a),
            (-b, -a),
            (-a, -a),
        )
    corners = {"pentagon": 5, "hexagon": 6}[kind]
    return tuple(_on_circle(0.5, n / corners) for n in range(corners))


def _star(tips: int, waist: float) -> tuple[Point, ...]:
    return tuple(_on_circle(waist if n % 2 else 0.5, n / (2 * tips)) for n in range(2 * tips))


def _on_circle(radius: float, turn: float) -> Point:
    """A point at a share of a turn from the top, clockwise."""
    return radius * math.sin(2 * math.pi * turn), -radius * math.cos(2 * math.pi * turn)


def _heart() -> tuple[Point, ...]:
    points = []
    for n in range(_ROUND_POINTS):
        t = 2 * math.pi * n / _ROUND_POINTS
        x = 16 * math.sin(t) ** 3
        y = 13 * math.cos(t) - 5 * math.cos(2 * t) - 2 * math.cos(3 * t) - math.cos(4 * t)
        points.append((x / 33, -(y + 2.5) / 33))
    return tuple(points)


def turned(points: tuple[Point, ...], degrees: float) -> tuple[Point, ...]:
    """Turn points clockwise around the origin."""
    if not degrees:
        return points
    cosine, sine = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    return tuple((x * cosine - y * sine, x * sine + y * cosine) for x, y in points)
