"""Headings to sections: each heading begins one and gives it the path of those above."""

from collections.abc import Sequence
from dataclasses import dataclass

from cluster import headings
from pipelines.documents.parsed import Section

MAX_TITLE = 200  # characters: a heading goes along with each chunk under it, and a file may be one long heading


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """Where a section begins. level: of its heading, 0 the highest; None for text before any heading.

    body: whether anything but the heading stands there.
    """

    start: int
    level: int | None
    title: str
    body: bool


def outline(marks: Sequence[Mark], end: int) -> tuple[Section, ...]:
    """The sections, the last up to `end`. A heading with nothing under it joins the section that follows."""
    found: list[Section] = []
    path: list[tuple[int, str]] = []
    waiting: int | None = None  # where a run of headings with nothing under them began
    for index, mark in enumerate(marks):
        last = index + 1 == len(marks)
        if mark.level is not None:
            path = [above for above in path if above[0] < mark.level] + [(mark.level, _short(mark.title))]
        if not mark.body and not last:
            waiting = mark.start if waiting is None else waiting
            continue
        start = mark.start if waiting is None else waiting
        heading = headings.joined(title for _, title in path if title) or None
        found.append(Section(start=start, end=end if last else marks[index + 1].start, heading=heading))
        waiting = None
    return tuple(found)


def _short(title: str) -> str:
    return title if len(title) <= MAX_TITLE else title[: MAX_TITLE - 1].rstrip() + "…"
