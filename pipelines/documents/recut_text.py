"""A stored document's text from its chunks: at every position what the parser gave, and white space in the gaps."""

from collections.abc import Iterable

from cluster.documents import Chunk, Document
from pipelines.documents.parsed import ParsedDocument, Section


def text_of(document: Document, chunks: Iterable[Chunk]) -> ParsedDocument:
    """The document as it was when it was cut. chunks: all of it, in order.

    What no chunk covers was white space, or characters that the embedder does not see: a gap of one is a space, a
    wider one an empty line. Neighbours of the same page and heading are one section, also where two sections that
    are headed alike followed each other.
    """
    parts: list[str] = []
    sections: list[Section] = []
    at = 0
    for chunk in chunks:
        if chunk.start > at:
            parts.append(_gap(chunk.start - at))
            at = chunk.start
        if chunk.end > at:  # chunks overlap
            parts.append(chunk.text[at - chunk.start :])
            at = chunk.end
        last = sections[-1] if sections else None
        start = chunk.start
        if last is not None and (last.page, last.heading) == (chunk.page, chunk.heading):
            start = sections.pop().start
        sections.append(Section(start=start, end=at, page=chunk.page, heading=chunk.heading))
    return ParsedDocument(
        text="".join(parts), media_type=document.media_type, sections=tuple(sections), pages=document.pages
    )


def _gap(width: int) -> str:
    return " " if width == 1 else "\n" * width
