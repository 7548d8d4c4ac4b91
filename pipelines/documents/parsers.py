"""Which parser reads which type. Pure: bytes in, a parsed document out; nothing here bounds time or memory."""

from cluster.errors import EmptyDocument
from pipelines.documents import markdown, plain_text
from pipelines.documents.docx import parse_docx
from pipelines.documents.flow import check_characters
from pipelines.documents.html import parse_html
from pipelines.documents.media import CSV, DOCX, HTML, JSONL, MARKDOWN, PDF, TSV
from pipelines.documents.parsed import Limits, ParsedDocument, Section
from pipelines.documents.pdf import parse_pdf
from pipelines.documents.rows import parse_csv, parse_jsonl

PARSERS = {PDF: parse_pdf, DOCX: parse_docx, HTML: parse_html, JSONL: parse_jsonl}


def parse(name: str, media_type: str, content: bytes, limits: Limits) -> ParsedDocument:
    """The document. Raises BrokenDocument, EncryptedDocument, EmptyDocument, PayloadTooLarge."""
    if media_type in {CSV, TSV}:
        return parse_csv(name, content, limits, tabs=media_type == TSV)
    if media_type in PARSERS:
        return PARSERS[media_type](name, content, limits)
    return parse_text(name, media_type, content, limits)


def parse_text(name: str, media_type: str, content: bytes, limits: Limits) -> ParsedDocument:
    """Text or Markdown, as it stands. Raises BrokenDocument, EmptyDocument, PayloadTooLarge."""
    text = plain_text.decode(name, content)
    check_characters(name, len(text), limits.max_characters)
    if not text.strip():
        raise EmptyDocument(f"{name}: there is nothing but white space in it", hint="send a file with text in it")
    sections = markdown.sections(text) if media_type == MARKDOWN else (Section(start=0, end=len(text)),)
    return ParsedDocument(text=text, media_type=media_type, sections=sections)
