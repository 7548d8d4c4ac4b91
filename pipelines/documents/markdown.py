"""Markdown to sections: the text stays as it is, each heading begins a section and gives it its path.

Lines are looked at once and without backtracking: one of 5 MB costs what a thousand short ones do.
"""

import re

from pipelines.documents.outline import Mark, outline
from pipelines.documents.parsed import Section

UNDERLINE = re.compile(r" {0,3}(=+|-+)[ \t]*$")
FENCE = re.compile(r" {0,3}(`{3,}|~{3,})")
DEEPEST = 6
MAX_INDENT = 3  # four spaces make it code


def sections(text: str) -> tuple[Section, ...]:
    """The sections in order. A heading with nothing under it joins the section that follows."""
    starts = _headings(text)
    if not starts or starts[0][0] > 0:
        starts.insert(0, (0, None, ""))
    marks = []
    for index, (start, level, title) in enumerate(starts):
        end = starts[index + 1][0] if index + 1 < len(starts) else len(text)
        body = text[start:end].strip() if level is None else _body(text[start:end])
        marks.append(Mark(start=start, level=level, title=title, body=bool(body)))
    return outline(marks, len(text))


def _headings(text: str) -> list[tuple[int, int | None, str]]:
    """(start of the line, level, title) of each heading outside fenced code."""
    found: list[tuple[int, int | None, str]] = []
    fence: str | None = None
    offset, before = 0, (0, "")
    for line in text.splitlines(keepends=True):
        bare = line.rstrip("\n")
        mark = FENCE.match(bare)
        if fence is not None:
            if mark and mark[1].startswith(fence) and not bare.strip(" `~"):
                fence = None
            bare = ""
        elif mark:
            fence, bare = mark[1], ""
        elif heading := _heading(bare):
            found.append((offset, *heading))
            bare = ""
        elif (under := UNDERLINE.match(bare)) and _titles(before[1]):
            found.append((before[0], 1 if under[1][0] == "=" else 2, before[1].strip()))
            bare = ""
        before = (offset, bare)
        offset += len(line)
    return found


def _heading(line: str) -> tuple[int, str] | None:
    """(level, title) of `## Title ##`."""
    marked = line.lstrip(" ")
    rest = marked.lstrip("#")
    level = len(marked) - len(rest)
    if not 1 <= level <= DEEPEST or len(line) - len(marked) > MAX_INDENT or (rest and rest[0] not in " \t"):
        return None
    title = rest.strip()
    closed = title.rstrip("#")
    if closed != title and (not closed or closed[-1] in " \t"):
        title = closed.rstrip()
    return level, title


def _titles(line: str) -> bool:
    """Whether a line may be a heading when it is underlined: a table's or a list's row may not."""
    return bool(line.strip()) and not line.startswith(("    ", "\t")) and line.lstrip()[0] not in "|->*+#"


def _body(section: str) -> str:
    lines = section.strip().split("\n")
    underlined = len(lines) > 1 and not _heading(lines[0]) and UNDERLINE.match(lines[1])
    return "\n".join(lines[2 if underlined else 1 :]).strip()
