"""What every patch of a picture shows, for the head that teaches the tower and is not exported.

A transformer that has to find out from answers alone where to look learns for hours; told so of every patch, for
minutes.
"""

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from pipelines.training.vision.colours import COLOURS
from pipelines.training.vision.icons import ICONS
from pipelines.training.vision.outlines import SHAPES
from pipelines.training.vision.pictures import corners, letter_boxes
from pipelines.training.vision.relations import relation
from pipelines.training.vision.scene import Scene, Thing

NONE = -1  # a patch that teaches nothing to a head
_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
_KINDS = {name: number for number, name in enumerate((*SHAPES, *ICONS, *_LETTERS), start=1)}
FIRST_LETTER = _KINDS["A"]
_THINGS = 1 + len(SHAPES) + len(ICONS)  # 0: nothing
_COLOURS = {name: number for number, name in enumerate(COLOURS)}
_SIDES = ("left", "right", "above", "below")
_PLACES = 12  # a thing's middle is told to a twelfth of the picture
_MOST = 5
_LONGEST = 12
HEADS = {
    "kind": 1 + len(_KINDS),  # 0: the background
    "colour": len(COLOURS),
    "order": 1 + _LONGEST,  # a letter's place in its text, from 1
    "same kind": 1 + _MOST,  # how many there are of the thing's kind
    "same colour": 1 + _MOST,
    "total": 1 + _MOST,
    "column": _PLACES,
    "row": _PLACES,
    "scale": 3,
    **{f"kind {side}": _THINGS for side in _SIDES},  # of the only thing on that side of this one
    **{f"colour {side}": len(COLOURS) for side in _SIDES},
}
"""The head's parts, and how many choices each has."""

_CELLS = 3  # along a patch's side: what covers most of these nine cells, the patch shows
_SCALES = {"": 0, "small": 1, "large": 2}


def label(scene: Scene, side: int) -> NDArray[np.int8]:
    """Return [side * side, heads]: the class of every patch for each head, or NONE."""
    rows: list[list[int]] = [_ground_row(scene)]
    grid = side * _CELLS
    cells = Image.new("L", (grid, grid))
    pen = ImageDraw.Draw(cells)
    shift_x, shift_y = (1 - scene.width) / 2, (1 - scene.height) / 2

    def cover(points: list[tuple[float, float]], row: list[int]) -> None:
        placed = [((x + shift_x) * grid - 0.5, (y + shift_y) * grid - 0.5) for x, y in points]
        pen.polygon(placed, fill=len(rows))
        rows.append(row)

    for thing in scene.things:
        alike = sum(other.kind == thing.kind for other in scene.things)
        tinted = sum(other.colour == thing.colour for other in scene.things)
        middle = [_place(thing.x + shift_x), _place(thing.y + shift_y)]
        counts = [alike, tinted, len(scene.things)]
        own = [_KINDS[thing.kind], _COLOURS[thing.colour], 0, *counts, *middle, _SCALES[thing.scale]]
        cover(corners(thing), own + _neighbours(thing, scene.things))
    for line in scene.prints:
        middle = [_place(line.x + shift_x), _place(line.y + shift_y)]
        for place, (letter, box) in enumerate(zip(line.read, letter_boxes(line), strict=True), start=1):
            if letter != " ":
                row = [_KINDS[letter], _COLOURS[line.colour], min(place, _LONGEST), NONE, NONE, NONE, *middle, NONE]
                cover(box, row + [NONE] * (2 * len(_SIDES)))
    shown = np.asarray(cells).reshape(side, _CELLS, side, _CELLS).swapaxes(1, 2).reshape(side * side, -1)
    # The most frequent cover of a patch's cells; the background only where it has more than two thirds of them.
    counted = (shown[:, :, None] == np.arange(len(rows))).sum(1)
    counted[:, 0] //= 2
    labels: NDArray[np.int8] = np.array(rows, np.int8)[counted.argmax(1)]
    return labels


def _ground_row(scene: Scene) -> list[int]:
    colour = _COLOURS[scene.ground.colour] if scene.ground.nameable else NONE
    return [0, colour, 0] + [NONE] * (len(HEADS) - 3)


def _neighbours(thing: Thing, things: tuple[Thing, ...]) -> list[int]:
    """The kinds, then the colours, of the only things on each side; no kind where there is none."""
    kinds, colours = [], []
    for side in _SIDES:
        there = [other for other in things if other is not thing and relation(other, thing) == side]
        alone = there[0] if len(there) == 1 else None
        kinds.append(0 if not there else NONE if alone is None else _KINDS[alone.kind])
        colours.append(NONE if alone is None else _COLOURS[alone.colour])
    return kinds + colours


def _place(share: float) -> int:
    return min(max(int(share * _PLACES), 0), _PLACES - 1)
