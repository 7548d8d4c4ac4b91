"""Paragraphs, headings, items and rows, as a parser meets them, to one text with its sections."""

from cluster.errors import EmptyDocument, PayloadTooLarge
from pipelines.documents.outline import Mark, outline
from pipelines.documents.parsed import ParsedDocument

BETWEEN_CELLS = " | "
INDENT = "  "


class Flow:
    """A text that grows. Raises PayloadTooLarge as soon as it has more than `max_characters`."""

    def __init__(self, name: str, *, max_characters: int) -> None:
        self._name = name
        self._max = max_characters
        self._parts: list[str] = []
        self._length = 0
        self._last = ""  # what kind of block came last
        self._marks = [Mark(start=0, level=None, title="", body=False)]

    def heading(self, level: int, title: str) -> None:
        """A heading, which begins a section. level: 0 is the highest."""
        if not title.strip():
            return
        start = self._add(title, "\n\n")
        self._marks.append(Mark(start=start, level=level, title=" ".join(title.split()), body=False))
        self._last = ""

    def paragraph(self, text: str) -> None:
        """A paragraph, with a blank line before it."""
        self._body(text, "paragraph")

    def item(self, text: str) -> None:
        """A list's item, with its mark. Items follow each other without a blank line."""
        self._body(text, "item")

    def row(self, cells: list[str]) -> None:
        """A table's row, as one line; so do rows. One without a word is left out."""
        if any(cells):
            self._body(BETWEEN_CELLS.join(cells), "row")

    def parsed(self, media_type: str, *, title: str | None = None) -> ParsedDocument:
        """The document. title: stands above all headings where none is of level 1 or higher.

        Raises EmptyDocument.
        """
        text = "".join(self._parts)
        if not text.strip():
            raise EmptyDocument(f"{self._name}: there is no text in it", hint="send a file with text in it")
        marks = self._marks
        if title and not any(mark.level is not None and mark.level <= 1 for mark in marks):
            first = marks[0]
            marks = [Mark(start=0, level=0, title=title, body=first.body), *marks[1:]]
        elif not marks[0].body:
            marks = marks[1:]
        return ParsedDocument(text=text, media_type=media_type, sections=outline(marks, len(text)))

    def _body(self, text: str, kind: str) -> None:
        if not text.strip():
            return
        together = kind != "paragraph" and kind == self._last
        self._add(text, "\n" if together else "\n\n")
        self._last = kind
        if not self._marks[-1].body:
            mark = self._marks[-1]
            self._marks[-1] = Mark(start=mark.start, level=mark.level, title=mark.title, body=True)

    def _add(self, text: str, before: str) -> int:
        if self._parts:
            self._parts.append(before)
            self._length += len(before)
        start = self._length
        self._parts.append(text)
        self._length += len(text)
        check_characters(self._name, self._length, self._max)
        return start


def check_characters(name: str, characters: int, allowed: int) -> None:
    """Refuse a text over documents.max_characters. Raises PayloadTooLarge."""
    if characters > allowed:
        raise PayloadTooLarge(
            f"{name}: more than {allowed} characters of text",
            hint="split it, or raise documents.max_characters",
        )
