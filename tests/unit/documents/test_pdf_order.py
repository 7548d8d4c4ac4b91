"""Pages whose drawing order is not their reading order, and those that only look so."""

import io
from collections.abc import Callable

from reportlab.pdfgen.canvas import Canvas

from pipelines.documents.parsed import Limits
from pipelines.documents.pdf import parse_pdf

LIMITS = Limits(max_pages=10, max_rows=10, max_characters=10_000, max_unpacked_bytes=1)
LEFT = [
    "The quick brown fox jumps over it",
    "lazy dogs that lie in the shade of",
    "old oaks, where no wind ever blows.",
    "Then evening comes and all go home.",
]
RIGHT = [
    "Mirrors of the tower are cleaned at",
    "dawn by a machine that walks along",
    "the rows, brushing dust from glass,",
    "until the sun has risen over hills.",
]
TITLE = "A title that reaches over both of the columns of this page and a little more"


def read(draw: Callable[[Canvas], object]) -> list[str]:
    buffer = io.BytesIO()
    canvas = Canvas(buffer, invariant=1)
    draw(canvas)
    canvas.showPage()
    canvas.save()
    return [line.rstrip() for line in parse_pdf("a.pdf", buffer.getvalue(), LIMITS).text.split("\n")]


def side_by_side(canvas: Canvas) -> None:
    for at, (left, right) in enumerate(zip(LEFT, RIGHT, strict=True)):
        canvas.drawString(72, 700 - 14 * at, left)
        canvas.drawString(320, 700 - 14 * at, right)


def test_columns_drawn_side_by_side_are_read_one_after_the_other() -> None:
    assert read(side_by_side) == LEFT + RIGHT


def test_what_spans_the_columns_stays_above_and_below() -> None:
    def draw(canvas: Canvas) -> None:
        canvas.drawString(72, 740, TITLE)
        side_by_side(canvas)
        canvas.drawString(72, 600, TITLE[::-1])

    assert read(draw) == [TITLE, *LEFT, *RIGHT, TITLE[::-1]]


def test_columns_drawn_as_they_are_read_stay_so() -> None:
    def draw(canvas: Canvas) -> None:
        for at, line in enumerate(LEFT):
            canvas.drawString(72, 700 - 14 * at, line)
        for at, line in enumerate(RIGHT):
            canvas.drawString(320, 700 - 14 * at, line)

    assert read(draw) == LEFT + RIGHT


def test_a_table_is_read_by_its_rows() -> None:
    def draw(canvas: Canvas) -> None:
        for at in range(6):
            canvas.drawString(72, 700 - 14 * at, f"part {at}")
            canvas.drawString(320, 700 - 14 * at, f"{at} kg")

    assert read(draw) == [f"part {at} {at} kg" for at in range(6)]


def test_a_page_drawn_from_the_bottom_is_read_from_the_top() -> None:
    def draw(canvas: Canvas) -> None:
        for at, line in reversed(list(enumerate(LEFT + RIGHT))):
            canvas.drawString(72, 700 - 14 * at, line)

    assert read(draw) == LEFT + RIGHT


def test_a_footer_drawn_first_changes_nothing() -> None:
    def draw(canvas: Canvas) -> None:
        canvas.drawString(72, 40, "Page 1")
        for at, line in enumerate(LEFT):
            canvas.drawString(72, 700 - 14 * at, line)

    assert read(draw) == ["Page 1", *LEFT]
