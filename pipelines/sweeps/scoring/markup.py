"""An answer's Markdown, taken off: what a reader reads, and of that what is running text.

Lines decide, one after another, so that any text takes time in proportion to its length.
"""

import re
from dataclasses import dataclass
from enum import Enum, auto

FENCE = re.compile(r" {0,3}(```|~~~)")
HEADING = re.compile(r" {0,3}#{1,6}(?:[ \t]+|$)")
RULE = re.compile(r"[ \t]*(?:[-*_=][ \t]*){3,}$")
ITEM = re.compile(r"([ \t]*)(?:[-*+•‣◦–]|\(?\d{1,3}[.)]|\(?[A-Za-z]\))[ \t]+(?=\S)")
QUOTE = re.compile(r"(?: {0,3}>[ \t]?)+")
TABLE = re.compile(r"[ \t]*\|")
LINK = re.compile(r"!?\[([^\[\]\n]{0,500})\]\([^()\s]{0,2000}\)")
ADDRESS = re.compile(r"\bhttps?://[^\s<>()]{1,2000}|\bwww\.[^\s<>()]{1,2000}", re.IGNORECASE)
TAG = re.compile(r"</?[A-Za-z][^<>\n]{0,300}>")
EMPHASIS = re.compile(r"\*{1,3}|(?<!\w)_{1,3}(?=\S)|(?<=\S)_{1,3}(?!\w)|`+")


class Kind(Enum):
    """What a block of an answer is."""

    PROSE = auto()
    ITEM = auto()
    HEADING = auto()
    TABLE = auto()


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """A paragraph, a list item, a heading or a table's row, without its markup. depth: columns of indentation."""

    kind: Kind
    text: str
    depth: int = 0


def blocks(text: str) -> list[Block]:
    """The answer's blocks in order. Code fences leave, an open one with all that follows it."""
    found: list[tuple[Kind, int, list[str]]] = []
    fence, gap = "", True  # the open fence's marks; whether the next line starts a new block
    for raw in text.splitlines():
        mark = FENCE.match(raw)
        if mark and (not fence or mark.group(1) == fence):
            fence, gap = ("" if fence else mark.group(1)), True
            continue
        if fence:
            continue
        line = QUOTE.sub("", raw, count=1)
        if not line.strip() or RULE.match(line):
            gap = True
            continue
        gap = _place(found, line, gap)
    shown = (Block(kind=kind, text=inline(" ".join(lines)), depth=depth) for kind, depth, lines in found)
    return [block for block in shown if block.text]


def inline(text: str) -> str:
    """One line without links' addresses, tags and marks of emphasis, its white space made single."""
    if "[" in text:
        text = LINK.sub(r"\1", text)
    if "<" in text:
        text = TAG.sub(" ", text)
    if "://" in text or "www." in text:
        text = ADDRESS.sub(" ", text)
    if "*" in text or "_" in text or "`" in text:
        text = EMPHASIS.sub("", text)
    return " ".join(text.split())


def _place(found: list[tuple[Kind, int, list[str]]], line: str, gap: bool) -> bool:
    """Add a line to the blocks; gives whether the next line starts a block of its own."""
    if mark := HEADING.match(line):
        found.append((Kind.HEADING, 0, [line[mark.end() :].rstrip("# \t")]))
        return True
    if TABLE.match(line):
        if line.strip(" \t|:-"):  # not the rule under a table's head
            found.append((Kind.TABLE, 0, [line.replace("|", " ")]))
        return True
    if mark := ITEM.match(line):
        found.append((Kind.ITEM, len(mark.group(1).expandtabs(4)), [line[mark.end() :]]))
        return False
    indented = line[:2].isspace()
    if found and (not gap or (indented and found[-1][0] is Kind.ITEM)):
        found[-1][2].append(line)
        return False
    found.append((Kind.PROSE, 0, [line]))
    return False
