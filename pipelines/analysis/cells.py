"""Stored rows as one row a cell, in one order: what a frame is made of, however the rows got here.

Rows may come shuffled, from several runs, twice (a file that was read two times), or from a CSV, which knows no
NULL and no column that is all of it: the same cells make the same figures to the last digit.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from cluster.stores.run_light import SCORES, plain
from pipelines.analysis.codes import codes_of, numbers

if TYPE_CHECKING:
    import pyarrow as pa

IDENTITY = (
    *("run_id", "prompt_id", "prompt_hash", "model", "config_id"),
    *("temperature", "top_p", "max_tokens", "parameters", "retrieval", "repeat", "greedy"),
)
"""With `ordinal`, what tells two cells apart."""

NULLABLE = ("error_code", "config_id", "retrieval", "scores", "run_id")  # texts in which "" says nothing


def cells_of(rows: "pa.Table", names: Sequence[str], *, greedy: bool) -> "pa.Table":
    """The columns that are there of `names`, a row a cell by ordinal. greedy: with the anchors.

    Of rows with one identity the first that went well counts.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    rows = rows.select([name for name in rows.column_names if name in names or name.startswith(SCORES)])
    for name in rows.column_names:
        column: Any = rows.column(name)
        if pa.types.is_null(column.type):
            rows = _with(rows, name, column.cast(pa.string()))
        elif name in NULLABLE and not _without_blank(column):
            rows = _with(rows, name, _without_blanks(column.cast(pa.string())))
    if "greedy" in rows.column_names:
        anchors: Any = rows.column("greedy").cast(pa.bool_())
        rows = _with(rows, "greedy", anchors.fill_null(False))
        rows = rows if greedy else rows.filter(~pc.field("greedy"))
    ordinal = numbers(rows, "ordinal")
    if np.all(np.diff(ordinal) > 0):  # as a run stores them: nothing to do
        return rows
    return _once(_ordered(plain(rows)))


def _without_blank(column: Any) -> bool:
    """Whether it is text stored as numbers, none of which is of the empty text."""
    import pyarrow as pa

    return pa.types.is_dictionary(column.type) and not any(
        "" in part.dictionary.to_pylist() for part in column.chunks
    )


def _without_blanks(texts: Any) -> Any:
    import pyarrow as pa
    import pyarrow.compute as pc

    blank: Any = pc.equal(texts, pa.scalar(""))
    none: Any = pa.scalar(None, pa.string())
    return pc.if_else(blank, none, texts) if pc.any(blank).as_py() else texts


def _with(rows: "pa.Table", name: str, column: Any) -> "pa.Table":
    return rows.set_column(rows.column_names.index(name), name, column)


def _ordered(rows: "pa.Table") -> "pa.Table":
    """By ordinal, the newest run first, then by all that tells cells apart, those that went well first."""
    import pyarrow as pa
    import pyarrow.compute as pc

    marked = rows.append_column("age", pa.array(_ages(rows)))
    keys = [name for name in ("ordinal", "age", *IDENTITY) if name in marked.column_names]
    if "error_code" in rows.column_names:
        marked = marked.append_column("failed", pc.is_valid(rows.column("error_code")).cast("int8"))
        keys.append("failed")
    return rows.take(pc.sort_indices(marked, sort_keys=[(name, "ascending") for name in keys]))


def _ages(rows: "pa.Table") -> NDArray[np.float64]:
    """By row how long ago its run asked for its last cell; 0 where that is not known."""
    import pyarrow as pa

    if "started" not in rows.column_names:
        return np.zeros(rows.num_rows)
    started = rows.column("started").cast(pa.timestamp("us")).cast(pa.int64()).to_numpy().astype(np.float64)
    run, firsts = codes_of(rows, ["run_id"])
    last = np.full(len(firsts), -np.inf)
    np.maximum.at(last, run, np.nan_to_num(started, nan=-np.inf))
    return np.where(np.isfinite(last[run]), -last[run], 0.0)


def _once(rows: "pa.Table") -> "pa.Table":
    """Without the rows that have the identity of the one before."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if rows.num_rows < 2 or not {"run_id", "ordinal", "repeat"} <= set(rows.column_names):
        return rows
    same = np.diff(numbers(rows, "ordinal")) == 0
    for name in (name for name in IDENTITY if name in rows.column_names):
        if not same.any():
            return rows
        column: Any = pa.concat_arrays(rows.column(name).chunks)
        codes = pc.dictionary_encode(column, null_encoding="encode").indices.to_numpy(zero_copy_only=False)
        same &= np.diff(codes) == 0
    return rows.filter(pa.array(np.r_[True, ~same]))
