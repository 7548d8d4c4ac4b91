"""Columns of Arrow tables as arrays: groups as whole numbers, JSON objects of numbers as float columns."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from cluster.stores.json_columns import objects_of as objects_of

if TYPE_CHECKING:
    import pyarrow as pa

SPARSE = 20  # so many times as large as there are codes: then a table of all is no gain


def codes_of(rows: "pa.Table", names: Sequence[str]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Group rows by columns: each row's group from 0 in order of appearance, and each group's first row.

    NULL is a value like another; a column that is not there is NULL in every row.
    """
    combined = np.zeros(rows.num_rows, np.int64)
    for name in names:
        if name not in rows.column_names or not rows.num_rows:
            continue
        codes = _codes(rows.column(name))
        # Made dense after each column, so that many columns cannot overflow.
        combined = _dense(combined * (int(codes.max()) + 1) + codes)
    first = np.full(int(combined.max(initial=-1)) + 1, -1, np.int64)
    places = np.arange(rows.num_rows)
    first[combined[::-1]] = places[::-1]  # of several the last one written stands, which is the first row
    order = np.argsort(first)
    rank = np.empty(len(order), np.int64)
    rank[order] = np.arange(len(order))
    return rank[combined], first[order]


def _dense(codes: NDArray[np.int64]) -> NDArray[np.int64]:
    """The same groups numbered without gaps."""
    if int(codes.max()) >= SPARSE * len(codes):
        _, found = np.unique(codes, return_inverse=True)
        return np.asarray(found, np.int64)
    there = np.bincount(codes) > 0  # many times faster than to sort them
    return np.asarray((np.cumsum(there) - 1)[codes], np.int64)


def texts(rows: "pa.Table", name: str) -> list[str]:
    """A column as text, "" for NULL or where it is not there."""
    import pyarrow as pa

    if name not in rows.column_names:
        return [""] * rows.num_rows
    return [value or "" for value in rows.column(name).cast(pa.string()).to_pylist()]


def numbers(rows: "pa.Table", name: str) -> NDArray[np.float64]:
    """A column as floats, NaN for NULL or where it is not there."""
    import pyarrow as pa

    if name not in rows.column_names:
        return np.full(rows.num_rows, np.nan)
    return np.array(rows.column(name).cast(pa.float64()).to_numpy(), np.float64)


def _codes(column: "pa.ChunkedArray[Any]") -> NDArray[np.int64]:
    """A whole number for each value; text that is stored as numbers already is not read again."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if pa.types.is_dictionary(column.type):
        one: Any = column.unify_dictionaries().combine_chunks()
        one = one.chunk(0) if isinstance(one, pa.ChunkedArray) else one
        return np.asarray(one.indices.fill_null(len(one.dictionary)), np.int64)
    one = pa.concat_arrays(column.chunks)
    encoded: Any = pc.dictionary_encode(one, null_encoding="encode")
    return np.asarray(encoded.indices, np.int64)
