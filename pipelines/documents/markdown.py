"""Markdown to sections: the text stays as it is, each heading begins a section and gives it its path."""

import re

from pipelines.documents.parsed import Section

HEADING = re.compile(r" {0,3}(#{1,6})(?:[ \t]+(.*?))?(?:[ \t]+#+)?[ \t]*$")
UNDERLINE = re.compile(r" {0,3}(=+|-+)[ \t]*$")
FENCE = re.compile(r" {0,3}(`{3,}|~{3,})")
SEPARATOR = " > "


def sections(text: str) -> tuple[Section, ...]:
    """The sections in order. A heading with nothing under it joins the section that follows."""
    starts = _headings(text)
    if not starts or starts[0][0] > 0:
        starts.insert(0, (0, 0, ""))
    found: list[Section] = []
    path: list[tuple[int, str]] = []
    waiting: int | None = None  # where a run of headings with nothing under them began
    for index, (start, level, title) in enumerate(starts):
        end = starts[index + 1][0] if index + 1 < len(starts) else len(text)
        if level:
            path = [above for above in path if above[0] < level] + [(level, title)]
        last = index + 1 == len(starts)
        if not last and (not text[start:end].strip() or (level and not _body(text[start:end]))):
            waiting = start if waiting is None else waiting
            continue
        heading = SEPARATOR.join(name for _, name in path if name) or None
        found.append(Section(start=start if waiting is None else waiting, end=end, heading=heading))
        waiting = None
    return tuple(found)


def _headings(text: str) -> list[tuple[int, int, str]]:
    """(start of the line, level, title) of each heading outside fenced code."""
    found: list[tuple[int, int, str]] = []
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
        elif match := HEADING.match(bare):
            found.append((offset, len(match[1]), (match[2] or "").strip()))
            bare = ""
        elif (under := UNDERLINE.match(bare)) and _titles(before[1]):
            found.append((before[0], 1 if under[1][0] == "=" else 2, before[1].strip()))
            bare = ""
        before = (offset, bare)
        offset += len(line)
    return found


def _titles(line: str) -> bool:
    """Whether a line may be a heading when it is underlined: a table's or a list's row may not."""
    return bool(line.strip()) and not line.startswith(("    ", "\t")) and line.lstrip()[0] not in "|->*+#"


def _body(section: str) -> str:
    lines = section.strip().split("\n")
    underlined = len(lines) > 1 and not HEADING.match(lines[0]) and UNDERLINE.match(lines[1])
    return "\n".join(lines[2 if underlined else 1 :]).strip()
