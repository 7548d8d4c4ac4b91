"""CSV as RFC 4180 has it: UTF-8 without a mark, commas, CRLF; text in quotes, doubled inside.

Spreadsheets run a cell that begins with one of = + - @ TAB CR LF (or the full-width forms of these signs) as a
formula, quoted or not. Text that begins so gets an apostrophe in front, as OWASP advises; so does text that has
apostrophes before such a sign, which makes it exact to undo: drop one apostrophe where such a sign follows it.
Numbers stay numbers, with their minus. NULL, and a figure that is not finite, is nothing between two commas, empty
text is two quotes. Times are ISO 8601 in UTC.
"""

import csv
import io
import math
import re
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, BinaryIO

from pipelines.analysis.exports.compute import compute

if TYPE_CHECKING:
    import pyarrow as pa

    from pipelines.analysis.exports.export import Export

FORMULA = r"^'*[=+\-@\t\r\n＝＋－＠]"
END = "\r\n"


def write_csv(export: "Export", target: BinaryIO) -> int:
    """Write the header and the rows; returns how many."""
    import pyarrow as pa
    import pyarrow.csv as pc

    count = 0
    kinds = [pa.string() if pa.types.is_timestamp(kind) else kind for kind in export.schema.types]
    names = [harmless(name) for name in export.layout.names]
    written = pa.schema([pa.field(name, kind) for name, kind in zip(names, kinds, strict=True)])
    options = pc.WriteOptions(quoting_style="needed", eol=END)  # type: ignore[call-arg] # stubs of an older version
    with pc.CSVWriter(target, written, write_options=options) as writer:
        for batch in export.batches():
            columns = [_cells(batch.column(place)) for place in range(batch.num_columns)]
            writer.write_batch(pa.record_batch(columns, schema=written))
            count += batch.num_rows
    return count


def write_table(columns: Sequence[str], rows: Iterable[Sequence[Any]], target: BinaryIO) -> int:
    """Write a table of plain values as CSV; returns its rows."""
    count = 0
    text = io.TextIOWrapper(target, encoding="utf-8", newline="")
    try:
        writer = csv.writer(text, lineterminator=END)
        writer.writerow([harmless(name) for name in columns])
        for row in rows:
            writer.writerow([_plain(value) for value in row])
            count += 1
    finally:
        text.detach()  # flushes; the file is its owner's to close
    return count


def harmless(text: str) -> str:
    """Text that no spreadsheet takes for a formula."""
    return f"'{text}" if re.match(FORMULA, text) else text


def iso(moment: datetime) -> str:
    """A time in UTC as ISO 8601 with a Z."""
    return moment.replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"


def _cells(column: "pa.Array[Any]") -> Any:
    """A column as CSV holds it."""
    import pyarrow as pa

    pc = compute()
    if pa.types.is_timestamp(column.type):
        return pc.replace_substring(column.cast(pa.string()), " ", "T")
    if pa.types.is_floating(column.type):
        return pc.if_else(pc.is_finite(column), column, None)  # as in JSON and Excel
    if pa.types.is_string(column.type):
        found = pc.match_substring_regex(column, FORMULA)
        if pc.any(found).as_py():
            return pc.if_else(found, pc.binary_join_element_wise("'", column, ""), column)
    return column


def _plain(value: Any) -> Any:
    if isinstance(value, str):
        return harmless(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, datetime):
        return iso(value)
    return None if isinstance(value, float) and not math.isfinite(value) else value
