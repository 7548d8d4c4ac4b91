"""The order in which a PDF page is read, where the order in which it was drawn is not it; pure.

Most programs draw a page as it is read, and that order is kept: a guess would do more harm than good. Two kinds of
pages are told with certainty: lines of two columns drawn side by side, and lines drawn from the bottom up.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median

MIN_ROWS = 4  # that show two columns, or a direction: fewer are a letter's head, or a table
MIN_SHARE = 0.6  # of the lines beside the gap that have one on its other side
MIN_GAP_POINTS = 10.0  # between columns: justified words stand up to 8 apart
MIN_LINE_RATIO = 10.0  # width to height: prose has 20 characters or more in a line, a table's cell few
MIN_FILLED = 0.7  # of a column's width, by half of its lines: a table's cells are ragged
MIN_UPWARD = 0.9


@dataclass(frozen=True, slots=True, kw_only=True)
class Box:
    """Where some text of one line stands, in points from the page's lower left."""

    left: float
    bottom: float
    right: float
    top: float


def reading_order(boxes: Sequence[Box]) -> list[Box] | None:
    """Regions of the page in reading order, each to be read as it was drawn; None where all of it is to be.

    boxes: of the page's text, as drawn.
    """
    return _columns(boxes) or _from_the_top(boxes)


def _columns(boxes: Sequence[Box]) -> list[Box] | None:
    pairs = [
        (left, right)
        for left, right in pairwise(boxes)
        if _beside(left, right) and right.left - left.right >= MIN_GAP_POINTS
    ]
    if len(pairs) < MIN_ROWS:
        return None
    gap_left, gap_right = max(left.right for left, _ in pairs), min(right.left for _, right in pairs)
    if gap_right - gap_left < MIN_GAP_POINTS:
        return None
    middle = (gap_left + gap_right) / 2
    sides = [box for box in boxes if box.right <= middle or box.left >= middle]
    if 2 * len(pairs) < MIN_SHARE * len(sides):
        return None
    if not (_is_prose([left for left, _ in pairs]) and _is_prose([right for _, right in pairs])):
        return None
    return _bands(boxes, middle)


def _bands(boxes: Sequence[Box], middle: float) -> list[Box]:
    """From the top down: what spans both columns by itself, and between that the left column, then the right."""
    found: list[Box] = []
    left: list[Box] = []
    right: list[Box] = []

    def close() -> None:
        found.extend(_around(column) for column in (left, right) if column)
        left.clear()
        right.clear()

    for box in sorted(boxes, key=lambda box: -box.top):
        if box.right <= middle:
            left.append(box)
        elif box.left >= middle:
            right.append(box)
        else:
            close()
            found.append(box)
    close()
    return found


def _from_the_top(boxes: Sequence[Box]) -> list[Box] | None:
    steps = [(a, b) for a, b in pairwise(boxes) if not _beside(a, b) and not _beside(b, a)]
    upward = sum(1 for a, b in steps if b.bottom >= a.top)
    if len(steps) < MIN_ROWS - 1 or upward < MIN_UPWARD * len(steps):
        return None
    return sorted(boxes, key=lambda box: (-box.top, box.left))


def _beside(left: Box, right: Box) -> bool:
    """Whether the second stands in the first one's line, to its right."""
    shared = min(left.top, right.top) - max(left.bottom, right.bottom)
    height = min(left.top - left.bottom, right.top - right.bottom)
    return right.left >= left.right and shared > height / 2


def _is_prose(lines: Sequence[Box]) -> bool:
    width = max(line.right for line in lines) - min(line.left for line in lines)
    widths = [line.right - line.left for line in lines]
    height = median(line.top - line.bottom for line in lines)
    return median(widths) >= max(MIN_FILLED * width, MIN_LINE_RATIO * height)


def _around(boxes: Sequence[Box]) -> Box:
    return Box(
        left=min(box.left for box in boxes),
        bottom=min(box.bottom for box in boxes),
        right=max(box.right for box in boxes),
        top=max(box.top for box in boxes),
    )
