"""A document as text, whatever it was before, and what bounds the way there."""

from dataclasses import dataclass

PARSER_VERSION = 3  # part of each chunk's id: raise it when a parser gives another text for the same bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """A span of the text that a chunk never crosses: a page, a row, or what stands under one heading.

    start, end: characters. page: from 1, or None. heading: the path of headings, `Guide > Install`, or the
    row's number, `row 7`; None where there is neither.
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Uncut:
    """A parsed document on its way to the chunker. document_id: SHA-256 of its bytes, hex."""

    parsed: ParsedDocument
    document_id: str
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one document may become: pages of a PDF, rows of a table, characters of text, unpacked bytes."""

    max_pages: int
    max_rows: int
    max_characters: int
    max_unpacked_bytes: int
