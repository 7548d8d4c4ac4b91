"""JSON: one array of objects, or JSON Lines, written row by row.

Keys are the columns of every other format. Lists and objects, as a `stop` parameter, are JSON themselves here
rather than text. Seeds are whole numbers of up to 63 bits: JavaScript rounds those above 2^53.
"""

import json
import math
from collections.abc import Iterator
from datetime import datetime
from typing import TYPE_CHECKING, Any, BinaryIO

from pipelines.analysis.exports.csv import iso

if TYPE_CHECKING:
    from pipelines.analysis.exports.export import Export

OBJECTS = ("score_versions",)  # columns of a row that are JSON texts as they stand


def write_json(export: "Export", target: BinaryIO) -> int:
    """Write an array; returns how many objects."""
    count = 0
    target.write(b"[")
    for lines in _lines(export):
        target.write((",\n" if count else "\n").encode() + ",\n".join(lines).encode())
        count += len(lines)
    target.write(b"\n]\n")
    return count


def write_jsonl(export: "Export", target: BinaryIO) -> int:
    """Write an object a line; returns how many."""
    count = 0
    for lines in _lines(export):
        target.write(("\n".join(lines) + "\n").encode())
        count += len(lines)
    return count


def _lines(export: "Export") -> Iterator[list[str]]:
    import pyarrow as pa

    columns = export.layout.columns
    unfolded = {
        column.name for column in columns if pa.types.is_string(column.type) and column.key is not None
    } | set(OBJECTS)
    encode = json.JSONEncoder(ensure_ascii=False, allow_nan=False, default=_default, separators=(", ", ": ")).encode
    for batch in export.batches():
        named = [
            [_object(value) for value in batch.column(column.name).to_pylist()]
            if column.name in unfolded
            else _values(batch.column(column.name))
            for column in columns
        ]
        names = [column.name for column in columns]
        yield [encode(dict(zip(names, row, strict=True))) for row in zip(*named, strict=True)]


def _values(column: Any) -> list[Any]:
    import pyarrow as pa

    values: list[Any] = column.to_pylist()
    if pa.types.is_floating(column.type):
        return [None if value is None or not math.isfinite(value) else value for value in values]
    return values


def _object(text: str | None) -> Any:
    """What a text of a JSON column stands for: a list or object that became text is one again."""
    if text is None or not text.startswith(("{", "[")):
        return text
    try:
        return json.loads(text)
    except ValueError:
        return text


def _default(value: Any) -> str:
    if isinstance(value, datetime):
        return iso(value)
    raise TypeError(type(value).__name__)
