"""The rows of a run as they were at one moment, as a whole or as a stream that holds few of them at a time.

A run may grow, and its failed cells be replaced, while it is read. Parts never change once they are there, so
a list of them is a snapshot; only compaction takes parts away, and then the reader starts over.

Rows lie in the parts as they were answered; the plan's order takes a sort. It is done in buckets on disk, each
small enough for memory: DuckDB's own sort ran out of a 256 MB limit at 200 MB of answers.
"""

import contextlib
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cluster.stores.run_parts import DUCKDB, KEYS, damaged
from cluster.stores.run_rows import schema

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq
    from numpy.typing import NDArray

    from cluster.stores.runs import Run

BUCKET = 16 * 2**20  # bytes of rows that are sorted in memory at once
BUCKET_ROWS = 4096  # or so many rows: a long prompt stands once in a part, and in memory once a row
MOST_BUCKETS = 256  # files that are open at once
SMALL = 256  # rows taken from a part at a time: a few megabytes, even of long answers
READ_AHEAD = 2**20  # bytes of each column; without it a part's column is read whole
ONE_ROW_A_CELL = """
    SELECT file, row, ordinal FROM keys
    QUALIFY row_number() OVER (PARTITION BY cell_id ORDER BY failed, started DESC, file DESC, row DESC) = 1
    ORDER BY file, row
"""  # the same choice as `Run.table` makes


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """Parts of a run that were there together; `take` makes one."""

    files: Sequence[Path]

    @classmethod
    def take(cls, run: "Run") -> "Snapshot":
        """The run as it is now."""
        return cls(files=tuple(run.files()))

    def batches(self, columns: Sequence[str] | None = None, size: int = 1000) -> "Iterator[pa.RecordBatch]":
        """One row a cell, in the plan's order, at most `size` rows at a time; all columns, or those named.

        Raises FileNotFoundError, before the first batch, where a part is gone: take a new snapshot then;
        DamagedRun for a part that is damaged.
        """
        chosen = [field for field in schema() if columns is None or field.name in columns]
        if len(self.files) == 1:  # as a run that is over leaves it: then there is nothing to sort
            with _named(self.files), _open(self.files[0]) as part:
                if _in_order(part):
                    yield from _straight(part, _nullable(chosen), size)
                    return
        needed = chosen + [field for field in schema() if field.name == "ordinal" and field not in chosen]
        with tempfile.TemporaryDirectory(prefix="heliostat-rows-") as folder:
            for bucket in self._buckets(needed, Path(folder)):
                ordered = bucket.sort_by("ordinal").select([field.name for field in chosen])
                yield from ordered.combine_chunks().to_batches(max_chunksize=size)

    def table(self, columns: Sequence[str] | None = None) -> "pa.Table":
        """The same rows in memory."""
        import pyarrow as pa

        chosen = [field for field in schema() if columns is None or field.name in columns]
        return pa.Table.from_batches(list(self.batches(columns, size=50_000)), schema=_nullable(chosen))

    def _buckets(self, fields: "list[pa.Field[Any]]", folder: Path) -> "Iterator[pa.Table]":
        """The rows in tables, all of one before all of the next in the plan's order."""
        import pyarrow as pa

        wanted = _nullable(fields)
        with _named(self.files), contextlib.ExitStack() as drafts:
            keys, count = self._keys({field.name for field in fields})
            files = [folder / str(number) for number in range(count)]
            sinks = [drafts.enter_context(pa.OSFile(str(file), "wb")) for file in files]
            writers = [drafts.enter_context(pa.ipc.new_stream(sink, wanted)) for sink in sinks]
            for file, (rows, ranks) in zip(self.files, _kept(keys), strict=True):
                with _open(file) as part:
                    _deal(part, rows, ranks * count, writers, wanted)
        for file in files:
            with pa.OSFile(str(file), "rb") as source, pa.ipc.open_stream(source) as reader:
                yield reader.read_all()
            file.unlink()

    def _keys(self, names: set[str]) -> "tuple[list[pa.Table], int]":
        """What tells each part's rows apart, and how many buckets the rows make. One part is open at a time."""
        keys, rows, size = [], 0, 0
        for number, file in enumerate(self.files):
            with _open(file) as part:
                keys.append(_keys_of(part, number))
                rows += part.metadata.num_rows
                size += _bytes_of(part, names)
        return keys, min(MOST_BUCKETS, max(size // BUCKET, rows // BUCKET_ROWS) + 1)


@contextlib.contextmanager
def _named(files: Sequence[Path]) -> Iterator[None]:
    """Turn Arrow's error for a damaged part into one that names it."""
    import pyarrow as pa

    try:
        yield
    except FileNotFoundError:
        raise
    except (pa.ArrowException, OSError) as error:
        raise damaged(files, error) from None


def _nullable(fields: "list[pa.Field[Any]]") -> "pa.Schema":
    import pyarrow as pa

    return pa.schema([pa.field(field.name, field.type) for field in fields])


def _open(file: Path) -> "pq.ParquetFile":
    import pyarrow.parquet as pq

    return pq.ParquetFile(file, buffer_size=READ_AHEAD, page_checksum_verification=True)


def _in_order(part: "pq.ParquetFile") -> bool:
    """Whether a part's rows are the plan's, each cell once."""
    import numpy as np

    return bool(np.all(np.diff(part.read(["ordinal"]).column(0).to_numpy()) > 0))


def _straight(part: "pq.ParquetFile", wanted: "pa.Schema", size: int) -> "Iterator[pa.RecordBatch]":
    """A part's rows as they lie there, at most `size` at a time, and of long ones fewer."""
    import pyarrow as pa

    there = [name for name in wanted.names if name in part.schema_arrow.names]
    for group in range(part.metadata.num_row_groups):
        of = part.metadata.row_group(group)
        most = max(1, min(size, BUCKET * of.num_rows // max(1, of.total_byte_size)))
        for batch in part.iter_batches(most, row_groups=[group], columns=there):
            yield pa.record_batch(_filled(batch, wanted, there), schema=wanted)


def _filled(batch: "pa.RecordBatch", wanted: "pa.Schema", there: Sequence[str]) -> "list[pa.Array[Any]]":
    """All wanted columns; NULL where a part of an older version lacks one."""
    import pyarrow as pa

    return [
        batch.column(field.name).cast(field.type) if field.name in there else pa.nulls(batch.num_rows, field.type)
        for field in wanted
    ]


def _bytes_of(part: "pq.ParquetFile", names: set[str]) -> int:
    groups = (part.metadata.row_group(place) for place in range(part.metadata.num_row_groups))
    columns = (group.column(place) for group in groups for place in range(group.num_columns))
    return sum(column.total_uncompressed_size for column in columns if column.path_in_schema in names)


def _keys_of(part: "pq.ParquetFile", number: int) -> "pa.Table":
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    found = part.read(list(KEYS))
    columns: dict[str, Any] = {
        "cell_id": found.column("cell_id"),
        "ordinal": found.column("ordinal"),
        "failed": pc.is_valid(found.column("error_code")),
        "started": found.column("started").cast(pa.int64()),
        "file": pa.array(np.full(found.num_rows, number)),
        "row": pa.array(np.arange(found.num_rows)),
    }
    return pa.table(columns)


def _kept(keys: "list[pa.Table]") -> "list[tuple[NDArray[np.int64], NDArray[np.float64]]]":
    """For each part the rows that count, ascending, and their rank in the plan as a share of all, below 1."""
    import duckdb
    import numpy as np
    import pyarrow as pa

    if not keys:
        return []
    with duckdb.connect(config=DUCKDB) as connection:
        connection.register("keys", pa.concat_tables(keys))
        won = connection.execute(ONE_ROW_A_CELL).fetchnumpy()
    ranks = np.argsort(np.argsort(won["ordinal"], kind="stable"), kind="stable") / max(1, len(won["ordinal"]))
    edges = np.searchsorted(won["file"], np.arange(len(keys) + 1))
    return [(won["row"][low:high], ranks[low:high]) for low, high in pairwise(edges)]


def _deal(
    part: "pq.ParquetFile",
    rows: "NDArray[np.int64]",
    places: "NDArray[np.float64]",
    writers: "Sequence[pa.ipc.RecordBatchStreamWriter]",
    wanted: "pa.Schema",
) -> None:
    """Put a part's rows into the buckets they belong to. places: of each row, its bucket before the point."""
    import numpy as np
    import pyarrow as pa

    buckets = places.astype(np.int64)
    there = [name for name in wanted.names if name in part.schema_arrow.names]
    begin = 0
    for batch in part.iter_batches(SMALL, columns=there):
        first, last = np.searchsorted(rows, (begin, begin + batch.num_rows))
        for bucket in np.unique(buckets[first:last]):
            inside = rows[first:last][buckets[first:last] == bucket] - begin
            taken = batch.take(pa.array(inside))
            writers[bucket].write_batch(pa.record_batch(_filled(taken, wanted, there), schema=wanted))
        begin += batch.num_rows
