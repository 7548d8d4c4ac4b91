"""Markdown to sections: the text stays as it is, each heading begins a section and gives it its path.

Lines are looked at once and without backtracking: one of 5 MB costs what a thousand short ones do.
"""

import re
from collections.abc import Sequence

from pipelines.documents.outline import Mark, outline
from pipelines.documents.parsed import Section

UNDERLINE = re.compile(r" {0,3}(=+|-+)[ \t]*$")
FENCE = re.compile(r" {0,3}(`{3,}+(?!.*`)|~{3,})")  # ```like this``` is code within a line
FRONT = "---"  # around the facts before a text, which are no Markdown
FACT = re.compile(r"\s|#|- |[\]}]|[^\s:]+\s*:\s|$")  # a line of YAML, as such facts are
MOST_FRONT_LINES = 200
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
    lines = text.splitlines(keepends=True)
    front = _front_lines(lines)
    for at, line in enumerate(lines):
        bare = "" if at < front else line.rstrip("\n")
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


def _front_lines(lines: Sequence[str]) -> int:
    """How many lines the facts before the text take, with the marks around them; 0 where there are none."""
    if not lines or lines[0].rstrip() != FRONT:
        return 0
    for at, line in enumerate(lines[1:MOST_FRONT_LINES], start=1):
        if line.rstrip() in {FRONT, "..."}:
            return at + 1 if at > 1 else 0
        if not FACT.match(line):
            return 0
    return 0


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
