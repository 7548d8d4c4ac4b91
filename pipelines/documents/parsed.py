"""A document as text, whatever it was before."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """A span of the text that a chunk never crosses: a page, or what stands under one heading.

    start, end: characters. page: from 1, or None. heading: the path of headings, `Guide > Install`, or None.
    """

    start: int
    end: int
    page: int | None = None
    heading: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ParsedDocument:
    """Text and its sections, in order. What no section covers is white space. pages: None where there are none."""

    text: str
    media_type: str
    sections: tuple[Section, ...]
    pages: int | None = None
