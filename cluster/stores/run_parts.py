"""The Parquet files of a sweep: what is in them, whether they can be read, and all of them as one table."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from cluster.errors import DamagedRun
from cluster.stores.run_rows import as_stored, schema

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

KEYS = ("cell_id", "ordinal", "error_code", "started")
"""The columns that say which of a cell's rows counts, and where it stands."""

GROUP = 5_000  # rows that are written at once while a run is compacted, all of a prompt in any case
DUCKDB: dict[str, Any] = {"threads": 2, "autoinstall_known_extensions": False}  # no look-up on the network, ever

READ_TRIES = 5  # a part may vanish under a reader while a run is compacted

Result = TypeVar("Result")

Prepare = Callable[["pa.Table"], "pa.Table"]
"""Gets all rows of a prompt, and answers them as they are to be stored."""


def rows_of(file: Path) -> int:
    """How many rows a part holds, from its footer. Raises FileNotFoundError, DamagedRun."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return int(pq.read_metadata(file).num_rows)
    except FileNotFoundError:
        raise
    except (pa.ArrowException, OSError) as error:
        raise damaged([file], error) from None


def ids_in(files: Sequence[Path]) -> set[str]:
    """The cells that have a row in these parts."""
    import pyarrow.parquet as pq

    found = (pq.read_table(file, columns=["cell_id"]).column("cell_id").to_pylist() for file in files)
    return {str(cell) for cells in found for cell in cells}


def readable(file: Path) -> bool:
    """Whether every page of a part is as it was written."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(file, page_checksum_verification=True) as part:
            for _ in part.iter_batches(GROUP):
                pass
    except (pa.ArrowException, OSError):
        return False
    return True


def by_prompt(files: Sequence[Path], prepare: Prepare | None) -> "Iterator[pa.Table]":
    """The rows of all files, one a cell, in the plan's order, in tables of GROUP rows or so."""
    import pyarrow as pa

    from cluster.stores.run_snapshot import Snapshot

    waiting: list[pa.Table] = []
    for prompt in _prompts(Snapshot(files=files).batches()):
        waiting.append(as_stored(prompt if prepare is None else prepare(prompt)))
        if sum(table.num_rows for table in waiting) >= GROUP:
            yield pa.concat_tables(waiting)
            waiting = []
    if waiting:
        yield pa.concat_tables(waiting)


def _prompts(batches: "Iterator[pa.RecordBatch]") -> "Iterator[pa.Table]":
    """The rows of each prompt together; they follow one another in the plan's order."""
    import pyarrow as pa
    import pyarrow.compute as pc

    open_: list[pa.RecordBatch] = []
    last: str | None = None
    for batch in batches:
        ids = batch.column("prompt_id")
        changes = pc.indices_nonzero(pc.not_equal(ids[1:], ids[:-1])).to_pylist() if len(ids) > 1 else []
        begin = 0
        for end in [*(int(place or 0) + 1 for place in changes), batch.num_rows]:
            first = ids[begin].as_py()
            if open_ and first != last:
                yield pa.Table.from_batches(open_)
                open_ = []
            open_.append(batch.slice(begin, end - begin))
            begin, last = end, first
    if open_:
        yield pa.Table.from_batches(open_)


def settled(read: Callable[[], Result]) -> Result:
    """What `read` gives, which looks for the parts anew each time: one may vanish while a run is compacted."""
    for _ in range(READ_TRIES):
        try:
            return read()
        except FileNotFoundError:
            continue
    return read()


def distinct(files: Sequence[Path], columns: Sequence[str] | None) -> "pa.Table":
    """One row a cell, in the plan's order; all columns, or those named.

    Raises FileNotFoundError where a file has gone, DamagedRun naming one that is damaged.
    """
    import pyarrow as pa

    chosen = [name for name in schema().names if columns is None or name in columns]
    rows = every(files, [name for name in schema().names if name in {*chosen, *KEYS}])
    return rows.select(chosen).take(pa.array(one_a_cell(rows), pa.int64()))


def every(files: Sequence[Path], columns: Sequence[str]) -> "pa.Table":
    """All rows of all files, as they lie there. Raises FileNotFoundError, DamagedRun."""
    import pyarrow as pa
    import pyarrow.dataset as ds

    if not files:
        return schema().empty_table().select(list(columns))
    scan = ds.ParquetFragmentScanOptions(page_checksum_verification=True)
    parquet = ds.ParquetFileFormat(default_fragment_scan_options=scan)
    try:
        found = ds.dataset([str(file) for file in files], schema=schema(), format=parquet)
        return found.to_table(columns=list(columns))
    except FileNotFoundError:
        raise
    except (pa.ArrowException, OSError) as error:
        raise damaged(files, error) from None


def one_a_cell(rows: "pa.Table") -> "NDArray[np.int64]":
    """The rows that count, in the plan's order, by their places among all. rows: with KEYS."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    if not rows.num_rows:
        return np.zeros(0, np.int64)
    ids = rows.column("cell_id").combine_chunks().dictionary_encode().indices.to_numpy()
    failed = pc.is_valid(rows.column("error_code")).to_numpy()
    started = rows.column("started").cast(pa.int64()).to_numpy()
    # Of each cell a success before a failure, then the newest; of two at one moment the later in the files.
    order = np.lexsort((-np.arange(rows.num_rows), -started, failed, ids))
    first = np.ones(len(order), bool)
    first[1:] = ids[order][1:] != ids[order][:-1]
    places = order[first]
    ordinals = rows.column("ordinal").to_numpy()[places]
    kept: NDArray[np.int64] = places[np.argsort(ordinals, kind="stable")]
    return kept


def damaged(files: Sequence[Path], error: Exception) -> Exception:
    """What to say of files that cannot be read; FileNotFoundError where one has gone: the reader looks again."""
    if not all(file.exists() for file in files):
        return FileNotFoundError(str(error))
    broken = next((file for file in files if not readable(file)), None)
    run_id = files[0].parent.parent.name
    # Not its whole path: tenants read this, too.
    if broken is None:
        return DamagedRun(f"The rows of sweeps/{run_id} cannot be read: {type(error).__name__}")
    return DamagedRun(
        f"sweeps/{run_id}/parts/{broken.name} is damaged",
        hint=f"heliostat sweep resume {run_id} sets it aside and runs its cells again",
    )
