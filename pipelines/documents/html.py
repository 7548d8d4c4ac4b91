"""HTML to text as a reader sees it: headings give the path, scripts, styles and hidden parts are left out."""

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from cluster.errors import BrokenDocument
from pipelines.documents.flow import INDENT, Flow
from pipelines.documents.html_depth import depth_of
from pipelines.documents.html_tags import BLOCKS, HEADINGS, LEFT_OUT
from pipelines.documents.media import HTML
from pipelines.documents.parsed import Limits, ParsedDocument
from pipelines.documents.plain_text import decode, without_controls

if TYPE_CHECKING:
    from selectolax.lexbor import LexborNode

MAX_DEPTH = 2000  # of open tags: browsers stop at 512, and building the tree takes its depth per tag
CHARSET = re.compile(rb"<meta[^>]{0,200}?charset\s*=\s*[\"']?\s*([A-Za-z0-9_-]{2,30})", re.IGNORECASE)
CHARSET_WITHIN = 1024  # bytes, as the standard has it
# Python's names; what the standard reads as Windows-1252 is read so.
CHARSETS = dict.fromkeys(("ascii", "us-ascii", "latin1", "iso-8859-1", "windows-1252", "cp1252"), "cp1252")
CHARSETS |= {f"windows-{number}": f"cp{number}" for number in (1250, 1251, 1253, 1254, 1255, 1256, 1257, 1258)}
CHARSETS |= {f"iso-8859-{part}": f"iso8859-{part}" for part in (2, 3, 4, 5, 6, 7, 8, 10, 13, 14, 15, 16)}
CHARSETS |= {name: name for name in ("koi8-r", "koi8-u", "gbk", "gb18030", "big5", "euc-jp", "euc-kr", "shift_jis")}
CHARSETS |= {"gb2312": "gb18030", "iso-2022-jp": "iso2022_jp", "shift-jis": "shift_jis", "sjis": "shift_jis"}
HIDING = re.compile(r"display\s*:\s*none|visibility\s*:\s*(?:hidden|collapse)", re.IGNORECASE)
LINE_BREAK = "\x00"  # stands for <br> until white space is joined; no text has it


def parse_html(name: str, content: bytes, limits: Limits) -> ParsedDocument:
    """The text of a page. Raises BrokenDocument, EmptyDocument, PayloadTooLarge."""
    from selectolax.lexbor import LexborHTMLParser

    text = decode(name, content, declared=_declared(content))
    _check_depth(name, text)
    root = LexborHTMLParser(text).root
    page = _Page(Flow(name, max_characters=limits.max_characters))
    if root is not None:
        page.read(root)
    return page.parsed()


def _declared(content: bytes) -> str | None:
    found = CHARSET.search(content[:CHARSET_WITHIN])
    return CHARSETS.get(found[1].decode("ascii").lower()) if found else None


def _check_depth(name: str, text: str) -> None:
    if depth_of(text, most=MAX_DEPTH) > MAX_DEPTH:
        raise BrokenDocument(f"{name}: its tags are nested more than {MAX_DEPTH} deep", hint="is it complete?")


class _Page:
    """Takes a tree apart, without recursion."""

    def __init__(self, flow: Flow) -> None:
        self._flow = flow
        self._inline: list[str] = []
        self._title: str | None = None
        self._preformatted = 0
        self._lists: list[int | None] = []  # the last number of each open <ol>; None for a <ul>
        self._marker = ""
        self._data_tables: list[bool] = []  # of each open table: is it one of data, and not of layout?
        self._row: list[str] = []
        self._cell: list[str] | None = None

    def parsed(self) -> ParsedDocument:
        """The document. Raises EmptyDocument."""
        self._flush()
        return self._flow.parsed(HTML, title=self._title)

    def read(self, root: "LexborNode") -> None:
        """All of the tree in order: into each element, its text, out of it."""
        title = root.css_first("head > title")
        if title is not None:
            self._title = " ".join(without_controls(title.text()).split()) or None
        for node, inside in _walk(root):
            if inside:
                self._enter(node)
            else:
                self._leave(str(node.tag))

    def _enter(self, node: "LexborNode") -> None:
        tag = node.tag
        if tag == "-text":
            self._inline.append(without_controls(node.text_content or ""))
            return
        if tag in BLOCKS:
            self._flush()
        if tag == "br":
            self._inline.append("\n" if self._preformatted else LINE_BREAK)
        elif tag == "img":
            self._inline.append(f" {without_controls(node.attributes.get('alt') or '')} ")
        elif tag == "pre":
            self._preformatted += 1
        elif tag in {"ul", "ol"}:
            self._lists.append(0 if tag == "ol" else None)
        elif tag == "li":
            self._marker = self._next_marker()
        elif tag == "table":
            self._data_tables.append(not _lays_out(node))
        elif tag == "tr":
            self._row = []
        elif tag in {"td", "th"} and self._data_tables and self._data_tables[-1]:
            self._cell = []

    def _leave(self, tag: str) -> None:
        if tag in HEADINGS and self._cell is None and not self._lists:
            self._flow.heading(HEADINGS[tag], self._taken())
        elif tag in BLOCKS:
            self._flush()
        if tag == "pre":
            self._preformatted -= 1
        elif tag in {"ul", "ol"}:
            self._lists.pop()
        elif tag == "li":
            self._marker = ""
        elif tag == "table":
            self._data_tables.pop()
        elif tag in {"td", "th"} and self._cell is not None:
            self._row.append(" ".join(self._cell))
            self._cell = None
        elif tag == "tr":
            self._flow.row(self._row)
            self._row = []

    def _flush(self) -> None:
        """The text since the last block: a cell's, an item's or a paragraph."""
        text = self._taken()
        if not text:
            return
        if self._cell is not None:
            self._cell.append(" ".join(text.split()))
        elif self._lists:
            self._flow.item(INDENT * (len(self._lists) - 1) + (self._marker or INDENT) + text)
            self._marker = ""
        else:
            self._flow.paragraph(text)

    def _taken(self) -> str:
        if not self._inline:
            return ""
        text = "".join(self._inline)
        self._inline.clear()
        if self._preformatted:
            return text.strip("\n").rstrip()
        lines = (" ".join(line.split()) for line in text.split(LINE_BREAK))
        return "\n".join(line for line in lines if line)

    def _next_marker(self) -> str:
        if not self._lists or (last := self._lists[-1]) is None:
            return "- "
        self._lists[-1] = last + 1
        return f"{last + 1}. "


def _walk(root: "LexborNode") -> Iterator[tuple["LexborNode", bool]]:
    """Each node that is shown, entered (True) and, if it is an element, left (False)."""
    open_nodes: list[LexborNode] = []
    node: LexborNode | None = root
    while node is not None or open_nodes:
        if node is None:
            node = open_nodes.pop()
            yield node, False
        elif node.tag == "-text":
            yield node, True
        elif not _is_left_out(node):
            yield node, True
            open_nodes.append(node)
            node = node.child
            continue
        node = node.next if open_nodes else None


def _is_left_out(node: "LexborNode") -> bool:
    if node.tag in LEFT_OUT:
        return True
    attributes = node.attributes
    if not attributes:
        return False
    if "hidden" in attributes and attributes["hidden"] != "until-found":  # that one is to be found
        return True
    return attributes.get("aria-hidden") == "true" or bool(HIDING.search(attributes.get("style") or ""))


def _lays_out(table: "LexborNode") -> bool:
    """Whether a table places parts of the page: it holds headings or other tables."""
    return any(inner.mem_id != table.mem_id for inner in table.css("table,h1,h2,h3,h4,h5,h6"))
