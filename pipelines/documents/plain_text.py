"""Bytes of a text file to text: the encoding is found, and what is no text is refused."""

import codecs
import re

from cluster.errors import BrokenDocument
from pipelines.documents.legacy_text import is_western, legacy_encoding

BOMS = (  # UTF-32's begins as UTF-16's does
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
WESTERN = "cp1252"
REPLACEMENT = "\ufffd"
NOT_ASCII = bytes(range(0x80, 0x100))
CONTROLS = re.compile("[\x00-\x08\x0e-\x1f]")
NOT_TEXT = re.compile("[\x00-\x08\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
MAX_CONTROL_SHARE = 0.02  # a stray escape is no reason to refuse a file; a binary has a tenth and more
SAMPLE_BYTES = 4096
MIN_ZERO_SHARE = 0.4  # of every second byte: Latin letters in UTF-16 have all of them zero
MAX_OTHER_ZERO_SHARE = 0.02


def decode(name: str, content: bytes, *, declared: str | None = None) -> str:
    """The text, line ends as \\n: by its byte order mark, else UTF-8, as declared, UTF-16, or Windows-1252.

    UTF-8 with a few wrong bytes stays UTF-8, with U+FFFD in their places. What is none of these is read in the
    encoding that its language shows. Raises BrokenDocument for binary data, and where no language shows.
    """
    for bom, encoding in BOMS:
        if content.startswith(bom):
            return _checked(name, _decoded(name, content, encoding))
    if b"\x00" in content:
        without_mark = _utf_16(content[:SAMPLE_BYTES])
        if without_mark is None:
            hint = "text in UTF-8, UTF-16 or Windows-1252"
            raise BrokenDocument(f"{name}: the content is binary: it has NUL bytes", hint=hint)
        return _checked(name, _decoded(name, content, without_mark))
    # What is not plain ASCII and yet valid UTF-8 is UTF-8, whatever a page says of itself.
    for encoding in filter(None, (declared, "utf-8") if content.isascii() else ("utf-8",)):
        try:
            return _checked(name, content.decode(encoding))
        except UnicodeDecodeError:
            continue
    mostly = content.decode("utf-8", errors="replace")
    wrong = mostly.count(REPLACEMENT)
    if len(mostly) - len(content.translate(None, NOT_ASCII)) > 2 * wrong:  # others are valid in hardly a place
        return _checked(name, mostly)
    if declared is not None and declared != WESTERN:
        return _checked(name, content.decode(declared, errors="replace"))
    return _checked(name, _by_its_language(name, content))


def without_controls(text: str) -> str:
    """The text without control characters and halves of characters, which no font shows and UTF-8 cannot write."""
    return NOT_TEXT.sub("", text)


def _utf_16(sample: bytes) -> str | None:
    """UTF-16 without a mark, told by its zeros, which stand at every second place."""
    half = max(len(sample) // 2, 1)
    even, odd = sample[::2].count(0) / half, sample[1::2].count(0) / half
    if odd >= MIN_ZERO_SHARE and even <= MAX_OTHER_ZERO_SHARE:
        return "utf-16-le"
    if even >= MIN_ZERO_SHARE and odd <= MAX_OTHER_ZERO_SHARE:
        return "utf-16-be"
    return None


def _by_its_language(name: str, content: bytes) -> str:
    encoding = WESTERN if is_western(content) else legacy_encoding(content)
    if encoding is None:
        message = f"{name}: the text is neither UTF-8 nor {WESTERN}, and no other encoding shows"
        raise BrokenDocument(message, hint="save it as UTF-8")
    return _decoded(name, content, encoding)


def _decoded(name: str, content: bytes, encoding: str) -> str:
    try:
        return content.decode(encoding)
    except UnicodeDecodeError as error:
        raise BrokenDocument(
            f"{name}: the text is neither UTF-8 nor {encoding}: byte {error.start} fits neither",
            hint="save it as UTF-8",
        ) from None


def _checked(name: str, text: str) -> str:
    if "\x00" in text or len(CONTROLS.findall(text)) > MAX_CONTROL_SHARE * len(text):
        raise BrokenDocument(f"{name}: the content is binary", hint="send text, or a file of another type")
    return text.replace("\r\n", "\n").replace("\r", "\n")
