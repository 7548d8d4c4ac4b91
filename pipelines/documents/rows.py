"""Tables to text: each row of CSV or JSONL is a section of `name: value` lines."""

import csv
import io
import json
import re
from collections.abc import Iterator
from typing import Any

from cluster.errors import BrokenDocument, EmptyDocument, PayloadTooLarge
from pipelines.documents.flow import check_characters
from pipelines.documents.media import CSV, JSONL, TSV
from pipelines.documents.parsed import Limits, ParsedDocument, Section
from pipelines.documents.plain_text import decode, without_controls

BETWEEN_ROWS = "\n\n"
DELIMITERS = ",;\t|"
SNIFFED_CHARACTERS = 64 * 1024
MOST_UNNAMED = 2  # columns of which none may go without a name: of more, the first may be an index
TOLD_DELIMITER = re.compile(r'"?sep=([,;\t|])"?\n')
Fields = Iterator[tuple[str, str]]


def parse_csv(name: str, content: bytes, limits: Limits, *, tabs: bool = False) -> ParsedDocument:
    """The rows of a table; `row 2` is the one that a spreadsheet calls so. The first names the columns.

    It does not where one of its cells is a number, like another, or empty, save for the first one of three and
    more, above an index. A line `sep=;` before it, as Excel writes it, tells the delimiter. Raises BrokenDocument
    naming the row, EmptyDocument, PayloadTooLarge.
    """
    text = decode(name, content)
    csv.field_size_limit(max(csv.field_size_limit(), len(text) + 1))  # of the whole process: never lowered
    told = None if tabs else TOLD_DELIMITER.match(text)
    text = text[told.end() :] if told else text
    delimiter = "\t" if tabs else told[1] if told else _delimiter(text)
    rows = _Rows(name, limits)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    columns: list[str] | None = None
    number = 0
    try:
        for number, cells in enumerate(reader, start=1):
            if columns is None and cells:
                columns = _columns(cells)
                if columns:
                    continue
            rows.add(f"row {number}", _named(columns or [], cells))
    except csv.Error as error:
        raise BrokenDocument(f"{name}: row {number + 1} cannot be read: {error}", hint="is a quote open?") from None
    if columns and not rows.sections:  # a single line is a row, and names nothing
        rows.add("row 1", _named([], columns))
    return rows.parsed(TSV if tabs else CSV)


def parse_jsonl(name: str, content: bytes, limits: Limits) -> ParsedDocument:
    """A line of JSON is a row, `line 3`; what is nested is told by its path, `author.name`.

    Raises BrokenDocument naming the line, EmptyDocument, PayloadTooLarge.
    """
    text = decode(name, content)
    rows = _Rows(name, limits)
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            value = json.loads(line)
            fields = list(_flat("", value))
        except (ValueError, RecursionError) as error:
            reason = _reason(error)
            raise BrokenDocument(f"{name}: line {number} is no JSON: {reason}", hint="one value a line") from None
        rows.add(f"line {number}", iter(fields))
    return rows.parsed(JSONL)


class _Rows:
    def __init__(self, name: str, limits: Limits) -> None:
        self._name = name
        self._limits = limits
        self._texts: list[str] = []
        self._offset = 0
        self.sections: list[Section] = []

    def add(self, heading: str, fields: Fields) -> None:
        """A row; one without a word is left out. Raises PayloadTooLarge."""
        told = ((name, value) for name, value in fields if value)
        cleaned = ((without_controls(name).strip(), without_controls(value).strip()) for name, value in told)
        text = "\n".join(f"{name}: {value}" if name else value for name, value in cleaned if value)
        if not text:
            return
        if len(self.sections) == self._limits.max_rows:
            raise PayloadTooLarge(
                f"{self._name}: more than {self._limits.max_rows} rows",
                hint="split it, or raise documents.max_rows",
            )
        self.sections.append(Section(start=self._offset, end=self._offset + len(text), heading=heading))
        self._texts.append(text)
        self._offset += len(text) + len(BETWEEN_ROWS)
        check_characters(self._name, self._offset, self._limits.max_characters)

    def parsed(self, media_type: str) -> ParsedDocument:
        """The document. Raises EmptyDocument."""
        if not self.sections:
            raise EmptyDocument(f"{self._name}: there is no row with text in it", hint="send a file with rows")
        text = BETWEEN_ROWS.join(self._texts)
        return ParsedDocument(text=text, media_type=media_type, sections=tuple(self.sections))


def _delimiter(text: str) -> str:
    """What stands most often in the first line outside quotes; a comma where nothing does."""
    outside = "".join(text[:SNIFFED_CHARACTERS].lstrip("\n").split('"')[::2]).split("\n", 1)[0]
    return max(DELIMITERS, key=outside.count)


def _columns(cells: list[str]) -> list[str]:
    """The names of the columns; empty where the first row does not name them."""
    names = [cell.strip() for cell in cells]
    needed = names[1:] if len(names) > MOST_UNNAMED else names
    named = all(needed) and len(set(names)) == len(names) and not any(map(_is_number, names))
    return names if named else []


def _is_number(text: str) -> bool:
    try:
        float(text.replace(",", "."))
    except ValueError:
        return False
    return True


def _named(columns: list[str], cells: list[str]) -> Fields:
    for at, cell in enumerate(cells):
        fallback = f"column {at + 1}" if len(cells) > 1 else ""
        yield (columns[at] if at < len(columns) else "") or fallback, cell


def _flat(path: str, value: Any) -> Fields:
    """The leaves of a value. Plain values of a list are one leaf."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _flat(f"{path}.{key}" if path else key, inner)
    elif isinstance(value, list):
        plain = [_told(item) for item in value if not isinstance(item, dict | list)]
        yield path, ", ".join(item for item in plain if item)
        for at, item in enumerate(value):
            if isinstance(item, dict | list):
                yield from _flat(f"{path}[{at}]", item)
    else:
        yield path, _told(value)


def _reason(error: Exception) -> str:
    if isinstance(error, json.JSONDecodeError):
        return f"{error.msg} at its character {error.colno}"
    return "nested too deep" if isinstance(error, RecursionError) else str(error)


def _told(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return "" if value is None else str(value)
