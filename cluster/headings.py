"""A chunk's path of headings as one text, from the highest to the one above it."""

from collections.abc import Iterable

BETWEEN = " > "


def joined(headings: Iterable[str]) -> str:
    """The path of these headings."""
    return BETWEEN.join(headings)


def parts(path: str) -> list[str]:
    """The headings of a path; one that holds BETWEEN itself comes as several."""
    return path.split(BETWEEN)
