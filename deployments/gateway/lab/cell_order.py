"""Which cells of a batch somebody wants to see, and in which order, by the columns that decide it alone."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cluster.errors import BadRequest

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

    from cluster.stores.run_cells import RunCells
    from pipelines.analysis.exports.filters import Filter

TEXTS = ("prompt", "system", "text", "error_message")  # read few rows at a time, and never kept
OBJECTS = ("parameters", "retrieval", "scores", "score_versions", "features")
SCORE = "score_"
SORTS: Mapping[str, str] = {
    "ordinal": "ordinal",
    "temperature": "temperature",
    "top_p": "top_p",
    "max_tokens": "max_tokens",
    "repeat": "repeat",
    "response_time": "latency_ms",
    "completion_tokens": "completion_tokens",
    "cost": "cost",
    "created_at": "started",
}
"""What a list may be sorted by, with the row's column; also `score_NAME`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CellsWanted:
    """Conditions that all hold, and an order: one of SORTS or a score, `-` for the greatest first."""

    filters: "tuple[Filter, ...]" = ()
    sort: str = "ordinal"

    @property
    def key(self) -> str:
        """The same for the same question."""
        return f"{self.sort} {[str(one) for one in self.filters]}"

    @property
    def every(self) -> bool:
        """Whether it is all cells in the plan's order."""
        return not self.filters and self.sort == "ordinal"


def ordered(cells: "RunCells", wanted: CellsWanted) -> "NDArray[np.int32]":
    """The places of the cells that are wanted, in their order; a cell without a value comes last.

    Raises BadRequest for a column that there is not, or a value that it cannot have.
    """
    import numpy as np

    from pipelines.analysis.exports.filters import check, mask

    name = wanted.sort.removeprefix("-")
    column = SORTS.get(name, name)
    light = [one for one in wanted.filters if one.field not in TEXTS]
    seen = view(cells, [column, *(one.field for one in light)], sort=name)
    check(seen.schema, light)
    kept = mask(seen, light)
    places = np.arange(len(cells)) if kept is None else np.flatnonzero(kept.to_numpy(zero_copy_only=False))
    heavy = [one for one in wanted.filters if one.field in TEXTS]
    if heavy:
        places = places[_texts_met(cells, heavy)[cells.rows[places]]]
    values = _numbers(seen.column(column))[places]
    falling = -values if wanted.sort.startswith("-") else values
    return places[np.argsort(falling, kind="stable")].astype(np.int32)


def view(cells: "RunCells", names: Sequence[str], *, sort: str) -> "pa.RecordBatch":
    """The named columns: a row's own, `score_NAME`, and parameters by name. Raises BadRequest for any other."""
    import pyarrow as pa

    from cluster.stores.runs import schema
    from pipelines.analysis.exports.filters import unknown_field

    names = list(dict.fromkeys(names))
    plain = [name for name in schema().names if name not in (*TEXTS, *OBJECTS)]
    table = cells.table([name for name in names if name in plain])
    found = {name: _one(table.column(name)) for name in table.column_names}
    if any(name.startswith(SCORE) for name in names):
        found = {**_scores(cells), **found}
    if sort not in found:
        found |= _unscored(cells, sort)
    if any(name not in found for name in names):
        found = {**_settings(cells), **found}
    strange = next((name for name in names if name not in found), None)
    if strange is not None:
        if strange == sort:
            hint = f"one of {', '.join(SORTS)}, score_NAME, with - before it for the greatest first"
            raise BadRequest(f"Cannot sort by {strange[:32]!r}", hint=hint, param="sort")
        raise unknown_field(strange, [*plain, *TEXTS, *(name for name in found if name not in plain)], "filters")
    return pa.record_batch({name: found[name] for name in names})


def _scores(cells: "RunCells") -> "dict[str, pa.Array[Any]]":
    from cluster.stores.run_light import SCORES

    light = cells.light
    names = [name for name in light.column_names if name.startswith(SCORES)]
    return {f"{SCORE}{name.removeprefix(SCORES)}": _one(light.column(name)) for name in names}


def _one(column: "pa.ChunkedArray[Any]") -> "pa.Array[Any]":
    found: pa.Array[Any] = column.combine_chunks()
    return found


def _unscored(cells: "RunCells", sort: str) -> "dict[str, pa.Array[Any]]":
    """A score to sort by that no cell has yet: a batch that has only begun is listed, and nothing is refused."""
    import pyarrow as pa

    from pipelines.sweeps.scoring.scorers import known_names

    known = sort.startswith(SCORE) and sort.removeprefix(SCORE) in known_names()
    return {sort: pa.nulls(len(cells), pa.float64())} if known else {}


def _settings(cells: "RunCells") -> "dict[str, pa.Array[Any]]":
    """Parameters without columns of their own, and settings of retrieval, as exports name them."""
    import pyarrow as pa

    from pipelines.analysis.exports.layout import Objects, layout_of
    from pipelines.analysis.exports.source import TableSource

    table = cells.table(["parameters", "retrieval"])
    if not table.num_rows:
        return {}
    layout = layout_of(TableSource(table))
    objects = Objects()
    found = pa.Table.from_batches([layout.expand(one, objects) for one in table.to_batches()], schema=layout.schema)
    return {name: _one(found.column(name)) for name in found.column_names}


def _texts_met(cells: "RunCells", filters: "Sequence[Filter]") -> "NDArray[np.bool_]":
    """Which rows of all parts meet conditions on texts; they are in memory a few at a time."""
    import numpy as np

    from cluster.stores.runs import schema
    from pipelines.analysis.exports.filters import check, mask

    check(schema(), filters)
    names = list(dict.fromkeys(one.field for one in filters))
    met = np.zeros(int(cells.begins[-1]), bool)
    for begin, batch in cells.stream(names):
        found = mask(batch, filters)
        assert found is not None
        met[begin : begin + batch.num_rows] = found.to_numpy(zero_copy_only=False)
    return met


def _numbers(column: "pa.Array[Any]") -> "NDArray[np.float64]":
    """A column to sort by, NaN for NULL, which comes last in either order. Raises BadRequest for one of words."""
    import numpy as np
    import pyarrow as pa

    if pa.types.is_timestamp(column.type):
        column = column.cast(pa.int64())
    if not (pa.types.is_integer(column.type) or pa.types.is_floating(column.type)):
        raise BadRequest("Only numbers and times are sorted by", param="sort")
    return np.array(column.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False), np.float64)
