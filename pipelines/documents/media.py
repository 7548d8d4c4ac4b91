"""Which files are read: decided by the name's extension, checked by the first bytes."""

from pathlib import PurePosixPath

from cluster.errors import BrokenDocument, UnsupportedDocument

PDF, TEXT, MARKDOWN = "application/pdf", "text/plain", "text/markdown"
MEDIA_TYPES = {".pdf": PDF, ".txt": TEXT, ".md": MARKDOWN, ".markdown": MARKDOWN}
READABLE = "PDF, text and Markdown are read: .pdf, .txt, .md, .markdown"
PDF_MAGIC = b"%PDF-"
PDF_MAGIC_WITHIN = 1024  # readers accept some bytes before it, and so do real files
MAGICS = {
    PDF_MAGIC: "a PDF",
    b"PK\x03\x04": "a ZIP archive (or an Office file)",
    b"\x89PNG": "a PNG image",
    b"\xff\xd8\xff": "a JPEG image",
    b"GIF8": "a GIF image",
    b"\x1f\x8b": "a gzip archive",
    b"\x7fELF": "a program",
    b"{\\rtf": "an RTF file",
    b"\xd0\xcf\x11\xe0": "an old Office file",
}


def is_readable(name: str) -> bool:
    """Whether a file of that name is of a type that is read."""
    return PurePosixPath(name).suffix.lower() in MEDIA_TYPES


def require_readable(name: str) -> str:
    """The media type that the name tells. Raises UnsupportedDocument."""
    suffix = PurePosixPath(name).suffix.lower()
    kind = MEDIA_TYPES.get(suffix)
    if kind is None:
        found = f"{suffix} files are not read" if suffix else "a name without an extension tells no type"
        raise UnsupportedDocument(f"{name}: {found}", hint=READABLE)
    return kind


def media_type(name: str, content: bytes) -> str:
    """The media type. Raises UnsupportedDocument by the name, BrokenDocument where the bytes belie it."""
    kind = require_readable(name)
    if kind == PDF:
        if PDF_MAGIC not in content[:PDF_MAGIC_WITHIN]:
            raise BrokenDocument(f"{name}: {_looks_like(content)}, not a PDF", hint="send the PDF itself")
    elif any(content.startswith(magic) for magic in MAGICS):
        raise BrokenDocument(f"{name}: {_looks_like(content)}, not text", hint=READABLE)
    return kind


def _looks_like(content: bytes) -> str:
    for magic, name in MAGICS.items():
        if content.startswith(magic):
            return f"the content is {name}"
    start = content[:256].lstrip().lower()
    if start.startswith((b"<!doctype html", b"<html")):
        return "the content is HTML"
    return "the content is something else"
