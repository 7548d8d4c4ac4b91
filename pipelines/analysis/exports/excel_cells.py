"""Rows of an Excel sheet as XML: Arrow columns at once, or plain values one by one.

Text is inline and never a formula; a text that would be one where somebody edits the cell carries Excel's own
quote mark. What Excel cannot hold is changed and counted: see `Losses`.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from xml.sax.saxutils import escape

from pipelines.analysis.exports.compute import compute
from pipelines.analysis.exports.csv import FORMULA
from pipelines.analysis.exports.workbook import BOLD, DATE, QUOTED

if TYPE_CHECKING:
    import pyarrow as pa

TEXT = 32_767  # UTF-16 units that a cell holds
EXACT = 2**53  # whole numbers beyond it are no doubles
EPOCH = 25_569  # the day 1970-01-01 in Excel's count
DAY_US = 86_400_000_000
PLAIN = ' t="inlineStr"><is><t xml:space="preserve">'
# Characters that XML has no word for are written as Excel does it, _x0001_; a text that says so itself, too.
ODD = "[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]|_x[0-9A-Fa-f]{4}_"


@dataclass(slots=True)
class Losses:
    """cut: texts that were too long for a cell. widened: whole numbers that became text, to keep their digits."""

    cut: int = 0
    widened: int = 0


def rows_xml(batch: "pa.RecordBatch", first: int, losses: Losses) -> bytes:
    """The rows of a batch. first: the number of the first one in its sheet, from 1."""
    import pyarrow as pa

    pc = compute()
    numbers = pa.array(range(first, first + batch.num_rows)).cast(pa.string())
    cells = [
        _column(
            batch.column(place), pc.binary_join_element_wise(f'<c r="{letters(place)}', numbers, '"', ""), losses
        )
        for place in range(batch.num_columns)
    ]
    rows = pc.binary_join_element_wise(
        pc.binary_join_element_wise('<row r="', numbers, '">', ""), *cells, "</row>", ""
    )
    return "".join(rows.to_pylist()).encode()


def row_xml(values: Sequence[Any], number: int, losses: Losses, *, bold: bool = False) -> bytes:
    """One row of plain values: text, numbers, truth values, times and None."""
    cells = []
    for place, value in enumerate(values):
        begin = f'<c r="{letters(place)}{number}"'
        if isinstance(value, bool):
            cells.append(f'{begin} t="b"><v>{int(value)}</v></c>')
        elif isinstance(value, int | float) and abs(value) <= EXACT:
            cells.append(f"{begin}><v>{value!r}</v></c>")
        elif isinstance(value, datetime):
            passed = value.replace(tzinfo=UTC).timestamp() / 86_400 + EPOCH
            cells.append(f'{begin} s="{DATE}"><v>{passed!r}</v></c>')
        elif value is not None and value == value:
            style = BOLD if bold else QUOTED if re.match(FORMULA, str(value)) else 0
            text = escape(plain(str(value), losses), {"\r": "&#13;"})
            cells.append(f'{begin} s="{style}" t="inlineStr"><is><t xml:space="preserve">{text}</t></is></c>')
    return f'<row r="{number}">{"".join(cells)}</row>'.encode()


def letters(place: int) -> str:
    """A column's name: 0 is A, 26 is AA."""
    name = ""
    place += 1
    while place:
        place, rest = divmod(place - 1, 26)
        name = chr(65 + rest) + name
    return name


def plain(text: str, losses: Losses) -> str:
    """A text as a cell can hold it: not too long, with nothing that XML cannot say."""
    text = re.sub(ODD, lambda found: _said(found[0]), text)
    units = text.encode("utf-16-le", "surrogatepass")
    if len(units) > 2 * TEXT:
        losses.cut += 1
        text = units[: 2 * TEXT].decode("utf-16-le", "ignore")
    return text


def _said(found: str) -> str:
    return f"_x{ord(found):04X}_" if len(found) == 1 else f"_x005F{found}"


def _column(column: "pa.Array[Any]", begin: "pa.Array[Any]", losses: Losses) -> Any:
    """A column's cells; NULL has none. begin: `<c r="A1"` and so on."""
    import pyarrow as pa

    pc = compute()
    kind = column.type
    if pa.types.is_integer(kind):
        large = pc.fill_null(pc.or_(pc.greater(column, EXACT), pc.less(column, -EXACT)), False)
        if pc.any(large).as_py():
            losses.widened += pc.sum(large).as_py()
            return pc.if_else(large, _text(column.cast(pa.string()), begin, losses), _number(column, begin))
        return _number(column, begin)
    if pa.types.is_floating(kind):
        return _number(pc.if_else(pc.is_finite(column), column, None), begin)
    if pa.types.is_boolean(kind):
        return _number(column.cast(pa.int8()), begin, ' t="b"')
    if pa.types.is_timestamp(kind):
        passed = column.cast(pa.timestamp("us", kind.tz)).cast(pa.int64()).cast(pa.float64())
        return _number(pc.add(pc.divide(passed, float(DAY_US)), float(EPOCH)), begin, f' s="{DATE}"')
    return _text(column.cast(pa.string()), begin, losses)


def _number(column: "pa.Array[Any]", begin: "pa.Array[Any]", more: str = "") -> Any:
    import pyarrow as pa

    pc = compute()
    cells = pc.binary_join_element_wise(begin, more + "><v>", column.cast(pa.string()), "</v></c>", "")
    return pc.fill_null(cells, "")


def _text(column: "pa.Array[Any]", begin: "pa.Array[Any]", losses: Losses) -> Any:
    import pyarrow as pa

    pc = compute()
    odd = pc.or_(pc.match_substring_regex(column, ODD), pc.greater(pc.utf8_length(column), TEXT // 2))
    if pc.any(odd).as_py():  # rare: then one by one
        values = zip(column.to_pylist(), odd.to_pylist(), strict=True)
        column = pa.array([plain(text or "", losses) if is_odd else text for text, is_odd in values], pa.string())
    quoted = pc.match_substring_regex(column, FORMULA)
    for character, written in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"), ("\r", "&#13;")):
        column = pc.replace_substring(column, character, written)
    style = pc.if_else(quoted, f' s="{QUOTED}"{PLAIN}', PLAIN)
    return pc.fill_null(pc.binary_join_element_wise(begin, style, column, "</t></is></c>", ""), "")
