"""How deep the tags of a page are nested, counted before a tree is built: building it takes the depth per tag.

As browsers read it: what a script, a style or a comment holds is no tag, `>` within quotation marks ends none, and
`<circle … />` closes itself in a drawing, but `<div/>` stays open.
"""

import re

from pipelines.documents.html_tags import ISLANDS, MAY_STAY_OPEN, NOT_DRAWN, RAW

TAG = re.compile(r"<(?:(!--)|(/?)([a-zA-Z][a-zA-Z0-9:-]{0,30}))")
REST = re.compile(r"""(?:=\s*+(?:"[^"]*+"|'[^']*+')|[^>])*+>""")
CLOSES_ITSELF = re.compile(r"""[\s"'][^\s=]*/>$""")  # else the slash is a value's last character: r=5/>
TAIL = 200  # characters of a tag that are looked at for it
ENDS = {name: re.compile(rf"</{name}\b", re.IGNORECASE) for name in RAW}
DRAWINGS = frozenset({"svg", "math"})


def depth_of(text: str, *, most: int) -> int:
    """The deepest nesting of a page, or one more than `most` as soon as it is deeper."""
    found = depth = position = 0
    drawing, island = False, ""
    while (tag := TAG.search(text, position)) is not None:
        position = tag.end()
        if tag[1]:  # a comment
            position = text.find("-->", position)
            if position < 0:
                break
            continue
        rest = REST.match(text, position)
        if rest is None:  # never closed: no tag
            break
        position, name = rest.end(), tag[3].lower()
        if tag[2]:
            depth = max(0, depth - (name not in MAY_STAY_OPEN))
            if name in DRAWINGS or name == island:
                drawing, island = name == island, ""
            continue
        drawing = name in DRAWINGS or (drawing and name not in NOT_DRAWN)
        if (drawing and _closes_itself(rest[0])) or name in MAY_STAY_OPEN:
            continue
        if name in RAW and not drawing:
            end = ENDS[name].search(text, position)
            if end is None:
                break
            position = end.start()
        if drawing and name in ISLANDS:
            drawing, island = False, name
        depth += 1
        found = max(found, depth)
        if found > most:
            break
    return found


def _closes_itself(rest: str) -> bool:
    return rest == "/>" or CLOSES_ITSELF.search(rest[-TAIL:]) is not None
