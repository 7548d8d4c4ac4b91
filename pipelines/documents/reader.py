"""Bytes and a name to a parsed document: the one way in for uploads and for files."""

from cluster.errors import EmptyDocument, PayloadTooLarge
from cluster.settings.pipelines import DocumentSettings
from pipelines.documents import markdown, plain_text
from pipelines.documents.media import MARKDOWN, PDF, media_type, require_readable
from pipelines.documents.parsed import ParsedDocument, Section
from pipelines.documents.pdf import parse_pdf


def read(name: str, content: bytes, settings: DocumentSettings) -> ParsedDocument:
    """Parse one document; a PDF in a child process, so this blocks for up to a minute.

    Raises PayloadTooLarge, UnsupportedDocument, EmptyDocument, BrokenDocument, EncryptedDocument, each
    naming the document.
    """
    check_size(name, len(content), settings)
    if not content:
        require_readable(name)
        raise EmptyDocument(f"{name}: the file is empty (0 bytes)", hint="send a file with text in it")
    kind = media_type(name, content)
    if kind == PDF:
        return parse_pdf(name, content, max_pages=settings.max_pages)
    text = plain_text.decode(name, content)
    if not text.strip():
        raise EmptyDocument(f"{name}: there is nothing but white space in it", hint="send a file with text in it")
    sections = markdown.sections(text) if kind == MARKDOWN else (Section(start=0, end=len(text)),)
    return ParsedDocument(text=text, media_type=kind, sections=sections)


def check_size(name: str, size: int, settings: DocumentSettings) -> None:
    """Refuse a file over documents.max_file_bytes. Raises PayloadTooLarge."""
    if size > settings.max_file_bytes:
        raise PayloadTooLarge(
            f"{name}: {size} bytes, but {settings.max_file_bytes} are allowed",
            hint="split it, or raise documents.max_file_bytes",
        )
