"""JSON objects of numbers in a column of text, as one float column a key."""

import io
import json
import math
import re
import string
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import pyarrow as pa

LETTERS = re.compile("[A-Za-z_]+")
DIGITS = b"0123456789.- "
FEW = 20  # lines, which Python reads sooner than a CSV reader starts
LARGEST = 1e300  # of a score; Python reads whole numbers of any size


def objects_of(rows: "pa.Table", name: str) -> dict[str, NDArray[np.float64]]:
    """A column of JSON objects as one float column a name, in order of appearance; NaN where it has no number."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if name not in rows.column_names or not rows.num_rows:
        return {}
    column: Any = rows.column(name).cast(pa.string())
    if column.null_count == rows.num_rows:
        return {}
    lines = column.fill_null("{}")
    # Joined by Arrow: a Python string a row would take longer than all the parsing.
    rows_as_one = pa.ListArray.from_arrays(pa.array([0, len(lines)], pa.int32()), pa.concat_arrays(lines.chunks))
    joined: Any = pc.binary_join(rows_as_one, "\n")
    text = joined[0].as_buffer().to_pybytes()
    alike = _alike(text, rows.num_rows)
    return _by_layout(text.split(b"\n"), rows.num_rows, lines) if alike is None else alike


def _by_layout(split: Sequence[bytes], size: int, lines: Any) -> dict[str, NDArray[np.float64]]:
    """Rows whose keys differ, a group of like rows at a time. (Arrow's own JSON reader ends the process on some
    malformed lines.)
    """
    if len(split) != size:  # a line that is broken JSON, with a line break in it
        return _slowly(lines.to_pylist())
    groups: dict[bytes, list[int]] = {}
    for place, line in enumerate(split):
        groups.setdefault(line.translate(None, DIGITS), []).append(place)
    found: dict[str, NDArray[np.float64]] = {}
    for places in groups.values():
        group = [split[place] for place in places]
        alike = _alike(b"\n".join(group), len(group)) if len(group) > FEW else None
        if alike is None:
            alike = _slowly([line.decode() for line in group])
        for key, values in alike.items():
            found.setdefault(key, np.full(size, np.nan))[places] = values
    return found


def _alike(text: bytes, lines: int) -> dict[str, NDArray[np.float64]] | None:
    """The columns where all lines have the same keys in the same order, as a scored run's have; else None.

    What is left without the digits shows whether every line is so, with nothing but plain numbers; without the
    keys it is a CSV, which is read some four times as fast as JSON.
    """
    import pyarrow as pa
    import pyarrow.csv as pc

    keys = list(_object(text[: text.find(b"\n")].decode() if lines > 1 else text.decode()))
    line = "{" + ",".join(f'"{key}":' for key in keys) + "}"
    if not keys or not LETTERS.fullmatch("".join(keys)):
        return None
    if text.translate(None, DIGITS) != b"\n".join([line.encode()] * lines):
        return None
    try:
        table = pc.read_csv(
            io.BytesIO(text.translate(None, string.ascii_letters.encode() + b'_"{}: ')),
            read_options=pc.ReadOptions(column_names=keys, use_threads=False, block_size=1 << 24),
            convert_options=pc.ConvertOptions(column_types=dict.fromkeys(keys, pa.float64())),
        )
    except pa.ArrowInvalid:  # an empty value or a stray point: the JSON readers say what it is
        return None
    if table.num_rows != lines:
        return None
    return {key: np.array(table.column(key), np.float64) for key in keys}


def _slowly(lines: Sequence[str]) -> dict[str, NDArray[np.float64]]:
    found: dict[str, NDArray[np.float64]] = {}
    for place, line in enumerate(lines):
        for key, value in _object(line).items():
            if isinstance(value, int | float) and not isinstance(value, bool):
                number = float(value) if abs(value) < LARGEST else math.nan
                found.setdefault(key, np.full(len(lines), np.nan))[place] = number
    return found


def _object(line: str) -> dict[str, Any]:
    try:
        read = json.loads(line)
    except ValueError:
        return {}
    return read if isinstance(read, dict) else {}
