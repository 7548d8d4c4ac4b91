"""Bytes of a text file to text: the encoding is found, and what is no text is refused."""

import codecs

from cluster.errors import BrokenDocument

BOMS = {codecs.BOM_UTF8: "utf-8-sig", codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}
WHITE = frozenset("\t\n\r\f\v")
MAX_CONTROL_SHARE = 0.02  # a stray escape is no reason to refuse a file; a binary has a tenth and more


def decode(name: str, content: bytes) -> str:
    """The text, line ends as \\n: by its byte order mark, else UTF-8, else Windows-1252.

    Raises BrokenDocument for binary data.
    """
    for bom, encoding in BOMS.items():
        if content.startswith(bom):
            return _checked(name, _decoded(name, content, encoding))
    if b"\x00" in content:
        hint = "text in UTF-8, Windows-1252, or UTF-16 with a byte order mark"
        raise BrokenDocument(f"{name}: the content is binary: it has NUL bytes", hint=hint)
    try:
        return _checked(name, content.decode("utf-8"))
    except UnicodeDecodeError:
        return _checked(name, _decoded(name, content, "cp1252"))


def _decoded(name: str, content: bytes, encoding: str) -> str:
    try:
        return content.decode(encoding)
    except UnicodeDecodeError as error:
        raise BrokenDocument(
            f"{name}: the text is neither UTF-8 nor {encoding}: byte {error.start} fits neither",
            hint="save it as UTF-8",
        ) from None


def _checked(name: str, text: str) -> str:
    controls = sum(1 for character in text if character < " " and character not in WHITE)
    if "\x00" in text or controls > MAX_CONTROL_SHARE * len(text):
        raise BrokenDocument(f"{name}: the content is binary", hint="send text, Markdown or a PDF")
    return text.replace("\r\n", "\n").replace("\r", "\n")
