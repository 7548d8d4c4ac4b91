"""A Word file to text: headings give the path, a table's row is a line, and what is deleted or hidden is gone."""

from dataclasses import dataclass, field

from pipelines.documents.docx_styles import BODY_LEVEL, Styles, attribute, local, outline_level
from pipelines.documents.flow import INDENT, Flow
from pipelines.documents.media import DOCX
from pipelines.documents.office import Attributes, Office
from pipelines.documents.parsed import Limits, ParsedDocument

# Deleted text, text moved elsewhere, how things were formatted before, a field's code, and the older twin of a
# drawing.
LEFT_OUT = frozenset(
    [
        "del",
        "moveFrom",
        "Fallback",
        "instrText",
        "delText",
        "delInstrText",
        "pPrChange",
        "rPrChange",
        "sectPrChange",
        "tblPrChange",
        "tcPrChange",
        "trPrChange",
        "tblGridChange",
    ]
)
SIGNS = {"tab": "\t", "ptab": "\t", "br": "\n", "cr": "\n", "noBreakHyphen": "-"}
OFF = frozenset({"0", "false", "off"})
NOTES = ("footnotes.xml", "endnotes.xml")  # read after the text: a note stands on no page of its own here
MAX_DEPTH = 8  # of a list's items, as Word has it


def parse_docx(name: str, content: bytes, limits: Limits) -> ParsedDocument:
    """The text of a Word file. Raises BrokenDocument, EncryptedDocument, EmptyDocument, PayloadTooLarge."""
    office = Office(name, content, max_bytes=limits.max_unpacked_bytes)
    document = office.document()
    flow = Flow(name, max_characters=limits.max_characters)
    styles = Styles(office, office.beside(document, "styles.xml"))
    for part in (document, *(office.beside(document, notes) for notes in NOTES)):
        if part is not None:
            body = _Body(flow, styles)
            office.parse(part, start=body.start, end=body.end, text=body.text)
    return flow.parsed(DOCX)


@dataclass(slots=True, kw_only=True)
class _Paragraph:
    """One that is being read. level: as it says itself, None where its style says it."""

    parts: list[str] = field(default_factory=list)
    style: str | None = None
    level: int | None = None
    item: bool | None = None
    depth: int = 0
    in_run: bool = False
    in_text: bool = False
    hidden: bool = False


class _Body:
    """Takes a part's XML as it comes. Paragraphs may hold others, in text boxes; cells may hold tables."""

    def __init__(self, flow: Flow, styles: Styles) -> None:
        self._flow = flow
        self._styles = styles
        self._left_out = 0
        self._paragraphs: list[_Paragraph] = []
        self._rows: list[list[str]] = []  # of each open table
        self._cells: list[list[str]] = []  # of each open cell

    def start(self, tag: str, attributes: Attributes) -> None:
        """An element begins."""
        name = local(tag)
        if self._left_out or name in LEFT_OUT:
            self._left_out += 1
        elif name == "p" and "wordprocessingml" in tag:
            self._paragraphs.append(_Paragraph())
        elif name == "tr":
            self._rows.append([])
        elif name == "tc":
            self._cells.append([])
        elif self._paragraphs:
            self._inside(self._paragraphs[-1], name, attribute(attributes, "val"))

    def end(self, tag: str) -> None:
        """An element ends."""
        name = local(tag)
        if self._left_out:
            self._left_out -= 1
        elif name == "p" and "wordprocessingml" in tag and self._paragraphs:
            self._finish(self._paragraphs.pop())
        elif name == "tc" and self._cells and self._rows:
            self._rows[-1].append(" ".join(self._cells.pop()))
        elif name == "tr" and self._rows:
            row = self._rows.pop()
            if self._cells:  # a table in a cell
                self._cells[-1].extend(cell for cell in row if cell)
            else:
                self._flow.row(row)
        elif self._paragraphs and name in {"r", "t"}:
            paragraph = self._paragraphs[-1]
            paragraph.in_text = False
            paragraph.in_run = name == "t" and paragraph.in_run

    def text(self, text: str) -> None:
        """Characters, of which only those of a run's text count."""
        paragraph = self._paragraphs[-1] if self._paragraphs else None
        if paragraph and paragraph.in_text and not paragraph.hidden and not self._left_out:
            paragraph.parts.append(text)

    def _inside(self, paragraph: _Paragraph, name: str, value: str | None) -> None:
        if name == "r":
            paragraph.in_run, paragraph.hidden = True, False
        elif paragraph.in_run:
            if name == "t":
                paragraph.in_text = True
            elif name == "vanish":
                paragraph.hidden = value not in OFF
            elif name in SIGNS and not paragraph.hidden:
                paragraph.parts.append(SIGNS[name])
        elif name == "pStyle":
            paragraph.style = value
        elif name == "outlineLvl":
            paragraph.level = outline_level(value)
        elif name == "numId":
            paragraph.item = value != "0"
        elif name == "ilvl" and value and value.isdecimal():
            paragraph.depth = min(int(value[:2]), MAX_DEPTH)

    def _finish(self, paragraph: _Paragraph) -> None:
        text = "".join(paragraph.parts).strip()
        if not text:
            return
        if self._cells:
            self._cells[-1].append(" ".join(text.split()))
            return
        level = self._styles.level(paragraph.style)
        level = _heading_level(paragraph.level) if level is None else level
        item = self._styles.is_item(paragraph.style) if paragraph.item is None else paragraph.item
        if level is not None:
            self._flow.heading(level, " ".join(text.split()))
        elif item:
            self._flow.item(f"{INDENT * paragraph.depth}- {text}")
        else:
            self._flow.paragraph(text)


def _heading_level(level: int | None) -> int | None:
    """A level that a paragraph gives itself; none where it says that it is text."""
    return level if level is not None and level <= BODY_LEVEL else None
