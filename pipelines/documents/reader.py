"""Bytes and a name to a parsed document: the one way in for uploads and for files."""

from cluster.errors import EmptyDocument, PayloadTooLarge
from cluster.settings.pipelines import DocumentSettings
from pipelines.documents.media import MARKDOWN, TEXT, media_type, require_readable
from pipelines.documents.parsed import Limits, ParsedDocument
from pipelines.documents.parsers import parse_text
from pipelines.documents.workers import Work, shared_workers

# Text this small is read in a few milliseconds, in whatever process asks. More is left to a worker, too: so that a
# replica goes on answering, and because time can be bounded there.
AT_ONCE_BYTES = 256 * 1024


def read(name: str, content: bytes, settings: DocumentSettings) -> ParsedDocument:
    """Parse one document, in a process that may die alone; this blocks for documents.parse_timeout_s at most.

    Raises PayloadTooLarge, UnsupportedDocument, EmptyDocument, BrokenDocument, EncryptedDocument, each
    naming the document.
    """
    check_size(name, len(content), settings)
    if not content:
        require_readable(name)
        raise EmptyDocument(f"{name}: the file is empty (0 bytes)", hint="send a file with text in it")
    kind = media_type(name, content)
    limits = Limits(
        max_pages=settings.max_pages,
        max_rows=settings.max_rows,
        max_characters=settings.max_characters,
        max_unpacked_bytes=settings.max_unpacked_bytes,
    )
    if kind in {TEXT, MARKDOWN} and len(content) <= AT_ONCE_BYTES:
        return parse_text(name, kind, content, limits)
    work = Work(
        name=name,
        media_type=kind,
        content=content,
        limits=limits,
        timeout_s=settings.parse_timeout_s,
        memory_bytes=settings.parse_memory_bytes,
    )
    return shared_workers(settings.parse_workers).parse(work)


def check_size(name: str, size: int, settings: DocumentSettings) -> None:
    """Refuse a file over documents.max_file_bytes. Raises PayloadTooLarge."""
    if size > settings.max_file_bytes:
        raise PayloadTooLarge(
            f"{name}: {size} bytes, but {settings.max_file_bytes} are allowed",
            hint="split it, or raise documents.max_file_bytes",
        )
