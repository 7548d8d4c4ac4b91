"""Where things are: beside each other, and in the picture. Only what nobody would doubt is said."""

from typing import Literal

from pipelines.training.vision.scene import Scene, Thing

Relation = Literal["left", "right", "above", "below", ""]

_CLEARLY = 1.25  # how much farther apart along one axis than along the other
_MIDDLE = (0.4, 0.6)
_SIDE = (0.36, 0.64)


def relation(thing: Thing, other: Thing) -> Relation:
    """Say where a thing is from another, or nothing where it is between two sides."""
    across, down = thing.x - other.x, thing.y - other.y
    if abs(across) > _CLEARLY * abs(down):
        return "left" if across < 0 else "right"
    if abs(down) > _CLEARLY * abs(across):
        return "above" if down < 0 else "below"
    return ""


def place_of(thing: Thing, scene: Scene) -> str:
    """Say where in a picture a thing is, or nothing where that could be said in two ways."""
    across = _band(thing.x / scene.width, "on the left", "on the right")
    down = _band(thing.y / scene.height, "at the top", "at the bottom")
    if across is None or down is None:
        return ""
    if across and down:
        return f"at the {down.split()[-1]} {across.split()[-1]}"
    return across or down or "in the middle"


def _band(share: float, low: str, high: str) -> str | None:
    if share < _SIDE[0]:
        return low
    if share > _SIDE[1]:
        return high
    return "" if _MIDDLE[0] <= share <= _MIDDLE[1] else None
