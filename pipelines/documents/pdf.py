"""PDF to text, a page a section. Runs in a process that may crash alone: pdfium is not thread-safe."""

import re
from collections import Counter
from typing import TYPE_CHECKING

from cluster.errors import BrokenDocument, EmptyDocument, EncryptedDocument, PayloadTooLarge
from pipelines.documents.flow import check_characters
from pipelines.documents.media import PDF
from pipelines.documents.parsed import Limits, ParsedDocument, Section
from pipelines.documents.pdf_order import MIN_ROWS, Box, reading_order
from pipelines.documents.plain_text import without_controls

if TYPE_CHECKING:
    from pypdfium2 import PdfDocument, PdfPage, PdfTextPage

BETWEEN_PAGES = "\n\n"
BROKEN_WORD = re.compile("[\ufffe\x02]\\s*")  # pdfium's marks for a hyphen at a line's end
MOST_BOXES = 2000  # of a page: what has more is a drawing
LOOKED_AT = 20  # pages that are searched for pictures where none has text


def parse_pdf(name: str, content: bytes, limits: Limits) -> ParsedDocument:
    """The text of a PDF.

    Raises EncryptedDocument, BrokenDocument, EmptyDocument for pages without text (a scan is called one), and
    PayloadTooLarge.
    """
    import pypdfium2
    from pypdfium2.raw import FPDF_ERR_PASSWORD, FPDF_ERR_SECURITY

    try:
        document = pypdfium2.PdfDocument(content)
    except pypdfium2.PdfiumError as error:
        if getattr(error, "err_code", None) in {FPDF_ERR_PASSWORD, FPDF_ERR_SECURITY}:
            raise EncryptedDocument(f"{name}: the PDF needs a password", hint="save a copy without one") from None
        raise _broken(name, error) from None
    try:
        document.init_forms()  # nothing where it has none
        return _parsed(name, document, limits)
    except pypdfium2.PdfiumError as error:
        raise _broken(name, error) from None
    finally:
        document.close()


def _parsed(name: str, document: "PdfDocument", limits: Limits) -> ParsedDocument:
    count = len(document)
    if count > limits.max_pages:
        raise PayloadTooLarge(
            f"{name}: {count} pages, but {limits.max_pages} are allowed",
            hint="split it, or raise documents.max_pages",
        )
    pages: list[str] = []
    sections: list[Section] = []
    offset = 0
    for number in range(count):
        page = _text(document, number)
        if page:
            sections.append(Section(start=offset, end=offset + len(page), page=number + 1))
        pages.append(page)
        offset += len(page) + len(BETWEEN_PAGES)
        check_characters(name, offset, limits.max_characters)
    if not sections:
        raise _empty(name, document)
    return ParsedDocument(text=BETWEEN_PAGES.join(pages), media_type=PDF, sections=tuple(sections), pages=count)


def _text(document: "PdfDocument", number: int) -> str:
    page = _filled(document, number)
    try:
        text = page.get_textpage()
        try:
            found = (
                _ordered(text, str(text.get_text_range())) if page.get_rotation() == 0 else text.get_text_range()
            )
        finally:
            text.close()
    finally:
        page.close()
    lines = found.replace("\r\n", "\n").replace("\r", "\n")
    return without_controls(BROKEN_WORD.sub("", lines)).strip()


def _filled(document: "PdfDocument", number: int) -> "PdfPage":
    """The page; of a form, with what was filled in, which else is no part of it."""
    from pypdfium2 import PdfiumError

    page = document[number]
    if document.formenv is not None:
        try:
            page.flatten()
        except PdfiumError:  # what is printed on it can be read all the same
            return page
        page.close()
        page = document[number]
    return page


def _ordered(text: "PdfTextPage", drawn: str) -> str:
    """The page as it is read. As it was drawn where nothing says otherwise, or where a character would be lost."""
    count = text.count_rects()
    if not MIN_ROWS <= count <= MOST_BOXES:
        return drawn
    boxes = []
    for number in range(count):
        left, bottom, right, top = text.get_rect(number)
        boxes.append(Box(left=left, bottom=bottom, right=right, top=top))
    order = reading_order(boxes)
    if order is None:
        return drawn
    read = "\n".join(
        str(text.get_text_bounded(left=box.left, bottom=box.bottom, right=box.right, top=box.top)) for box in order
    )
    return read if Counter("".join(read.split())) == Counter("".join(drawn.split())) else drawn


def _empty(name: str, document: "PdfDocument") -> EmptyDocument:
    count = len(document)
    pages = f"{count} page{'s' if count != 1 else ''}"
    if any(_has_picture(document, number) for number in range(min(count, LOOKED_AT))):
        return EmptyDocument(
            f"{name}: a scan: no text on its {pages}, only pictures", hint="run text recognition (OCR) on it first"
        )
    return EmptyDocument(f"{name}: no text on its {pages}", hint="send a file with text in it")


def _has_picture(document: "PdfDocument", number: int) -> bool:
    from pypdfium2.raw import FPDF_PAGEOBJ_IMAGE

    page = document[number]
    try:
        return next(iter(page.get_objects(filter=[FPDF_PAGEOBJ_IMAGE], max_depth=4)), None) is not None
    finally:
        page.close()


def _broken(name: str, error: Exception) -> BrokenDocument:
    return BrokenDocument(f"{name}: the PDF cannot be read: {error}", hint="is it complete?")
