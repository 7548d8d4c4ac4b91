"""What is said of every document of a run."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from cluster.documents import Document, MetadataValue
from cluster.filters import OWN

# As the API has them: what is said here is shown there.
MOST_TAGS, MOST_FIELDS = 32, 16
LONGEST_NAME, LONGEST_TEXT = 64, 512
LARGEST_INT = 2**53  # from there on JSON's readers change whole numbers


@dataclass(frozen=True, slots=True, kw_only=True)
class Labels:
    """Tags and metadata."""

    tags: tuple[str, ...] = ()
    metadata: Mapping[str, MetadataValue] = field(default_factory=dict)

    def said_of(self, document: Document) -> bool:
        """Whether all of it is said of a document."""
        same = all(document.metadata.get(name) == value for name, value in self.metadata.items())
        return same and set(self.tags) <= set(document.tags)


def wrong_tag(tag: str) -> str | None:
    """What is wrong with a tag; None where nothing is."""
    if not 0 < len(tag) <= LONGEST_NAME:
        return f"a tag has 1 to {LONGEST_NAME} characters"
    if not tag.isprintable() or "," in tag or tag != tag.strip():
        return "a tag has no comma, no control character and no space around it"
    return None


def wrong_field(name: str, value: Any) -> str | None:
    """What is wrong with a field of the metadata; None where nothing is."""
    if not 0 < len(name) <= LONGEST_NAME or not name.isprintable():
        return f"a key has 1 to {LONGEST_NAME} characters, none of them a control character"
    if name in OWN:
        return f"the key {name} is the document's own in filters; choose another"
    if isinstance(value, str):
        fits = len(value) <= LONGEST_TEXT and "\0" not in value and not _has_half(value)
        return None if fits else f"{name}: a text has {LONGEST_TEXT} characters at most, and no NUL"
    if isinstance(value, bool):
        return None
    if isinstance(value, int | float):
        fits = -LARGEST_INT < value < LARGEST_INT if isinstance(value, int) else math.isfinite(value)
        return None if fits else f"{name}: a number is finite, and a whole one below 2^53"
    return f"{name}: a value is a string, a number or a boolean"


def _has_half(text: str) -> bool:
    """Whether there is a half of a character in it, as arguments have that are no UTF-8."""
    return any("\ud800" <= character <= "\udfff" for character in text)
