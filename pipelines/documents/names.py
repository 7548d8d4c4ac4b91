"""A file's name as a client sent it, to one that is safe to show and to write."""

import re
import unicodedata

from cluster.errors import BadRequest

MAX_NAME_BYTES = 255  # what file systems take
SEPARATORS = re.compile(r"[/\\]")


def base_name(sent: str | None) -> str:
    """The last part of the name, without control, bidirectional or other invisible characters.

    Raises BadRequest where nothing is left, or where it is longer than 255 bytes.
    """
    last = SEPARATORS.split(sent or "")[-1]
    # Cc control, Cf format (bidi marks, zero width), Cs surrogates, Co private use, Zl and Zp line ends.
    hidden = {"Cc", "Cf", "Cs", "Co", "Zl", "Zp"}
    name = "".join(character for character in last if unicodedata.category(character) not in hidden).strip()
    if not name.strip("."):
        raise BadRequest(f"The file has no usable name: {sent!r}", hint="send a filename with it", param="file")
    if len(name.encode()) > MAX_NAME_BYTES:
        raise BadRequest(f"The file's name is longer than {MAX_NAME_BYTES} bytes", hint="shorten it", param="file")
    return name
