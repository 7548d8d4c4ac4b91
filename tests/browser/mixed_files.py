"""Files of all kinds, a dozen of them wrong, made the same each time."""

import csv
import io
import json
import zipfile
from pathlib import Path

from tests.unit.documents.pdfs import pdf

COUNT = 1000
WORDS, PDFS = 20, 30  # the kinds that take longest to make and to read

WANTED = "quillmarrow.md"
QUESTION = "When does the ferry to Quillmarrow leave?"
WANTED_TEXT = "# Ferries\n\nThe ferry to Quillmarrow leaves at dawn.\n"

WRONG = {
    "empty.txt": "empty_document",
    "empty.md": "empty_document",
    "empty.pdf": "empty_document",
    "locked.pdf": "encrypted_document",
    "locked-too.pdf": "encrypted_document",
    "text.pdf": "broken_document",
    "cut.pdf": "broken_document",
    "cut.docx": "broken_document",
    "nul.txt": "broken_document",
    "lines.jsonl": "broken_document",
    "picture.png": "unsupported_document_type",
    "program.exe": "unsupported_document_type",
}
"""Names of files that cannot be stored, and what each is refused as."""


def mixed(folder: Path, count: int) -> Path:
    """A folder with folders of so many files."""
    kinds = {".md": _markdown, ".txt": _text, ".html": _html, ".csv": _csv, ".jsonl": _jsonl}
    rest = count - len(WRONG) - WORDS - PDFS - 1
    for number in range(rest):
        suffix, make = list(kinds.items())[number % len(kinds)]
        _write(folder / f"{suffix[1:]}/{number:04}{suffix}", make(number).encode())
    for number in range(PDFS):
        _write(
            folder / f"pdf/{number:04}.pdf",
            pdf(f"Berth {number} is leased to crew {number}.", f"Its rope is {number} fathoms."),
        )
    for number in range(WORDS):
        _write(folder / f"docx/{number:04}.docx", _word(number))
    for name, content in _wrong().items():
        _write(folder / f"wrong/{name}", content)
    _write(folder / WANTED, WANTED_TEXT.encode())
    return folder


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def _markdown(number: int) -> str:
    return f"# Lamp {number}\n\n## Hours\n\nLamp {number} of the harbour burns until {number} o'clock.\n"


def _text(number: int) -> str:
    return f"The keeper of pier {number} counts {number} gulls each morning.\n"


def _html(number: int) -> str:
    return f"<title>Buoy {number}</title><script>let x = {number}</script><p>Buoy {number} is painted red.</p>"


def _csv(number: int) -> str:
    rows = io.StringIO()
    csv.writer(rows).writerows([["ship", "crew"], [f"Tern {number}", number], [f"Heron {number}", number + 1]])
    return rows.getvalue()


def _jsonl(number: int) -> str:
    return json.dumps({"crate": number, "holds": f"{number} coils of rope"}) + "\n"


def _word(number: int) -> bytes:
    """The least that is a Word file: python-docx takes longer to make one than we take to read it."""
    text = f"Chart {number} shows the shoals of bay {number}."
    space = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
    types = (
        '<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types">'
        '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
        '<Override PartName="/word/document.xml" ContentType="application/vnd.openxmlformats-officedocument'
        '.wordprocessingml.document.main+xml"/></Types>'
    )
    relations = (
        '<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships"><Relationship Id="r1" '
        'Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/officeDocument" '
        'Target="word/document.xml"/></Relationships>'
    )
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("[Content_Types].xml", types)
        archive.writestr("_rels/.rels", relations)
        body = f"<w:p><w:r><w:t>{text}</w:t></w:r></w:p>"
        archive.writestr("word/document.xml", f'<w:document xmlns:w="{space}"><w:body>{body}</w:body></w:document>')
    return buffer.getvalue()


def _wrong() -> dict[str, bytes]:
    whole = pdf("A page that nobody will read.")
    content = {
        "empty.txt": b"",
        "empty.md": b"",
        "empty.pdf": b"",
        "locked.pdf": pdf("Nobody knows the word.", password="tern"),
        "locked-too.pdf": pdf("Nor this one.", password="heron"),
        "text.pdf": b"This is a text with another's name.",
        "cut.pdf": whole[: len(whole) // 2],
        "cut.docx": _word(0)[:300],
        "nul.txt": b"before\0after",
        "lines.jsonl": b'{"crate": 1}\n{"crate": \n',
        "picture.png": b"\x89PNG\r\n\x1a\n",
        "program.exe": b"MZ",
    }
    assert content.keys() == WRONG.keys()
    return content
