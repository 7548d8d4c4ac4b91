"""Which files are read: decided by the name's extension, checked by the first bytes."""

from pathlib import PurePosixPath

from cluster.errors import BrokenDocument, EncryptedDocument, UnsupportedDocument

PDF, TEXT, MARKDOWN, HTML = "application/pdf", "text/plain", "text/markdown", "text/html"
DOCX = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"
CSV, TSV, JSONL = "text/csv", "text/tab-separated-values", "application/jsonl"
MEDIA_TYPES = {
    ".pdf": PDF,
    ".docx": DOCX,
    ".html": HTML,
    ".htm": HTML,
    ".md": MARKDOWN,
    ".markdown": MARKDOWN,
    ".txt": TEXT,
    ".csv": CSV,
    ".tsv": TSV,
    ".jsonl": JSONL,
    ".ndjson": JSONL,
}
READABLE = f"PDF, Word, HTML, Markdown, text, CSV and JSONL are read: {', '.join(MEDIA_TYPES)}"
PDF_MAGIC = b"%PDF-"
PDF_MAGIC_WITHIN = 1024  # readers accept some bytes before it, and so do real files
ZIP_MAGIC = b"PK\x03\x04"
OLE_MAGIC = b"\xd0\xcf\x11\xe0"
ENCRYPTED_OFFICE = "EncryptedPackage".encode("utf-16-le")  # what Word wraps a file with a password in
MAGICS = {
    PDF_MAGIC: "a PDF",
    ZIP_MAGIC: "a ZIP archive (or an Office file)",
    b"\x89PNG": "a PNG image",
    b"\xff\xd8\xff": "a JPEG image",
    b"GIF8": "a GIF image",
    b"\x1f\x8b": "a gzip archive",
    b"\x7fELF": "a program",
    b"{\\rtf": "an RTF file",
    OLE_MAGIC: "an old Office file",
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
    """The media type.

    Raises UnsupportedDocument by the name, BrokenDocument where the bytes belie it, EncryptedDocument for a Word
    file with a password.
    """
    kind = require_readable(name)
    if kind == PDF:
        if PDF_MAGIC not in content[:PDF_MAGIC_WITHIN]:
            raise BrokenDocument(f"{name}: {_looks_like(content)}, not a PDF", hint="send the PDF itself")
    elif kind == DOCX:
        if content.startswith(OLE_MAGIC) and ENCRYPTED_OFFICE in content:
            raise EncryptedDocument(f"{name}: the Word file needs a password", hint="save a copy without one")
        if not content.startswith(ZIP_MAGIC):
            raise BrokenDocument(f"{name}: {_looks_like(content)}, not a Word file", hint="save it as .docx")
    elif any(content.startswith(magic) for magic in MAGICS) and not _is_about_gifs(content):
        raise BrokenDocument(f"{name}: {_looks_like(content)}, not text", hint=READABLE)
    return kind


def _is_about_gifs(content: bytes) -> bool:
    """Whether it begins as a GIF does and goes on in text: that magic alone is a word that texts have."""
    beginning = content[:64]
    return beginning.startswith(b"GIF8") and all(byte >= 0x20 or byte in b"\t\r\n" for byte in beginning)


def _looks_like(content: bytes) -> str:
    for magic, name in MAGICS.items():
        if content.startswith(magic):
            return f"the content is {name}"
    start = content[:256].lstrip().lower()
    if start.startswith((b"<!doctype html", b"<html")):
        return "the content is HTML"
    return "the content is something else"
