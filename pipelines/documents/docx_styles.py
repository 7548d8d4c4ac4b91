"""The styles of a Word file: which of them make a paragraph a heading or an item of a list."""

import re
from dataclasses import dataclass

from pipelines.documents.office import Attributes, Office

NAMED = re.compile(r"heading (\d)$", re.IGNORECASE)  # the built-in names, English in every language's Word
TITLE = "title"
MAX_HERITAGE = 20  # styles based on styles: a loop ends here
BODY_LEVEL = 9  # `outlineLvl` of text that is no heading


@dataclass(slots=True, kw_only=True)
class Style:
    """A paragraph's style as the file has it. level: of a heading, 0 for the title. item: of a list."""

    level: int | None = None
    item: bool | None = None
    parent: str | None = None


class Styles:
    """All styles of a file, by their ids."""

    def __init__(self, office: Office, part: str | None) -> None:
        self._styles: dict[str, Style] = {}
        self._open = Style()
        if part is not None:
            office.parse(part, start=self._start)

    def level(self, style: str | None) -> int | None:
        """The level of a heading, inherited or its own; None for other text."""
        for found in self._heritage(style):
            if found.level is not None:
                return found.level if found.level <= BODY_LEVEL else None
        return None

    def is_item(self, style: str | None) -> bool:
        """Whether such a paragraph is an item of a list."""
        return next((bool(found.item) for found in self._heritage(style) if found.item is not None), False)

    def _heritage(self, style: str | None) -> list[Style]:
        found: list[Style] = []
        while style in self._styles and len(found) < MAX_HERITAGE:
            found.append(self._styles[style])
            style = found[-1].parent
        return found

    def _start(self, tag: str, attributes: Attributes) -> None:
        name = local(tag)
        value = attribute(attributes, "val")
        if name == "style":
            self._open = self._styles[attribute(attributes, "styleId") or ""] = Style()
        elif name == "name":
            if named := NAMED.match(value or ""):
                self._open.level = int(named[1])
            elif (value or "").lower() == TITLE:
                self._open.level = 0
        elif name == "basedOn":
            self._open.parent = value
        elif name == "outlineLvl" and self._open.level is None:
            self._open.level = outline_level(value)
        elif name == "numId":
            self._open.item = value != "0"


def local(tag: str) -> str:
    """A name without its namespace."""
    return tag.rpartition(" ")[2]


def attribute(attributes: Attributes, name: str) -> str | None:
    """A value, in whatever namespace its name is written."""
    return next((value for key, value in attributes.items() if local(key) == name), None)


def outline_level(value: str | None) -> int:
    """The level of a heading, from 1, as `outlineLvl` tells it from 0; over 9 for text."""
    return int(value) + 1 if value and value.isdecimal() and len(value) == 1 else BODY_LEVEL + 1
