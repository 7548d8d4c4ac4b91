"""Where the rows of a run lie: in which part, and there in which row; so that a few are read without all others."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING

from cluster.stores.run_light import LightParts, plain, together
from cluster.stores.run_parts import damaged, every, one_a_cell
from cluster.stores.run_rows import schema

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq
    from numpy.typing import NDArray

BATCH_BYTES = 16 * 2**20  # of rows in memory at a time, with their texts
READ_AHEAD = 2**20  # bytes of each column; without it a group's column is read whole
REPEATED = ["prompt", "system"]  # texts that many rows share


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RunCells:
    """One row a cell, in the plan's order, of the parts that there were. A cell's place counts from 0.

    rows: where each place's row is among all rows of all parts, one part after the other. begins: the first row of
    each part, and the number of all. light: the cells' light rows (`run_light`). Everything raises
    FileNotFoundError where a part has gone since: look anew; and DamagedRun.
    """

    files: Sequence[Path]
    rows: "NDArray[np.int64]"
    begins: "NDArray[np.int64]"
    light: "pa.Table"

    @classmethod
    def of(cls, files: Sequence[Path], parts: LightParts | None = None) -> "RunCells":
        """Of a run's parts as they are now. parts: keeps what is read of each."""
        import numpy as np
        import pyarrow as pa

        tables = (parts or LightParts()).tables(files)
        light = together(tables)
        rows, begins = _places(light), np.cumsum([0, *(table.num_rows for table in tables)])
        if len(rows) < light.num_rows or len(tables) > 1:
            light = light.take(pa.array(rows, pa.int64()))
        return cls(files=tuple(files), rows=rows, begins=begins, light=light)

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def state(self) -> str:
        """Another one where the rows are others."""
        return state_of(self.files)

    def table(self, columns: Sequence[str]) -> "pa.Table":
        """These columns of all cells, in memory: of numbers and short words."""
        import pyarrow as pa

        if all(name in self.light.column_names for name in columns):
            return plain(self.light.select(list(columns)))
        return every(self.files, columns).take(pa.array(self.rows, pa.int64()))

    def stream(self, columns: Sequence[str]) -> "Iterator[tuple[int, pa.RecordBatch]]":
        """All rows of all parts, few at a time, as they lie there; each batch with its first row's number."""
        import pyarrow as pa

        for file, begin in zip(self.files, self.begins.tolist(), strict=False):
            try:
                with _open(file) as part:
                    there = [name for name in columns if name in part.schema_arrow.names]
                    for group in range(part.metadata.num_row_groups):
                        for batch in part.iter_batches(
                            _rows_at_once(part, group), row_groups=[group], columns=there
                        ):
                            yield begin, _filled(batch, columns)
                            begin += batch.num_rows
            except FileNotFoundError:
                raise
            except (pa.ArrowException, OSError) as error:
                raise damaged(self.files, error) from None

    def take(self, places: Sequence[int], columns: Sequence[str]) -> "pa.Table":
        """These columns of a few cells, in the order of `places`."""
        import numpy as np
        import pyarrow as pa

        wanted = self.rows[np.asarray(places, np.int64)]
        order = np.argsort(wanted, kind="stable")
        found = [schema().empty_table().select(list(columns)).cast(_nullable(columns))]
        of_parts = np.searchsorted(self.begins, wanted[order], side="right") - 1
        for number in np.unique(of_parts):
            inside = wanted[order][of_parts == number] - self.begins[number]
            try:
                with _open(self.files[number]) as part:
                    found += [pa.Table.from_batches([batch]) for batch in _picked(part, inside, columns)]
            except FileNotFoundError:
                raise
            except (pa.ArrowException, OSError) as error:
                raise damaged(self.files, error) from None
        back = np.empty(len(order), np.int64)
        back[order] = np.arange(len(order))
        return pa.concat_tables(found).take(pa.array(back, pa.int64()))


def _places(light: "pa.Table") -> "NDArray[np.int64]":
    """Where the rows that count are, in the plan's order."""
    import numpy as np

    ordinals = light.column("ordinal").to_numpy()
    # A part that was made of many is in that order already, a row a cell.
    return np.arange(len(ordinals)) if np.all(np.diff(ordinals) > 0) else one_a_cell(light)


def state_of(files: Sequence[Path]) -> str:
    """Of parts: they never change, so their names say all."""
    return blake2b("\n".join(file.name for file in files).encode(), digest_size=12).hexdigest()


def _open(file: Path) -> "pq.ParquetFile":
    import pyarrow.parquet as pq

    return pq.ParquetFile(file, buffer_size=READ_AHEAD, read_dictionary=REPEATED, page_checksum_verification=True)


def _picked(
    part: "pq.ParquetFile", rows: "NDArray[np.int64]", columns: Sequence[str]
) -> "Iterator[pa.RecordBatch]":
    """Some rows of a part, ascending. Groups without any are not read."""
    import numpy as np
    import pyarrow as pa

    there = [name for name in columns if name in part.schema_arrow.names]
    begin = 0
    for group in range(part.metadata.num_row_groups):
        end = begin + part.metadata.row_group(group).num_rows
        low, high = np.searchsorted(rows, (begin, end))
        if low < high:
            for batch in part.iter_batches(_rows_at_once(part, group), row_groups=[group], columns=there):
                first, last = np.searchsorted(rows, (begin, begin + batch.num_rows))
                if first < last:
                    yield _filled(batch.take(pa.array(rows[first:last] - begin, pa.int64())), columns)
                begin += batch.num_rows
                if last == high:
                    break
        begin = end


def _rows_at_once(part: "pq.ParquetFile", group: int) -> int:
    """Many of short rows, few of long ones."""
    of = part.metadata.row_group(group)
    return max(1, min(of.num_rows, BATCH_BYTES * of.num_rows // max(1, of.total_byte_size)))


def _filled(batch: "pa.RecordBatch", columns: Sequence[str]) -> "pa.RecordBatch":
    """A batch with all the columns in their types; NULL where an older part lacks one."""
    import pyarrow as pa

    wanted = _nullable(columns)
    arrays = [
        batch.column(field.name).cast(field.type)
        if field.name in batch.schema.names
        else pa.nulls(batch.num_rows, field.type)
        for field in wanted
    ]
    return pa.record_batch(arrays, schema=wanted)


def _nullable(columns: Sequence[str]) -> "pa.Schema":
    import pyarrow as pa

    return pa.schema([pa.field(name, schema().field(name).type) for name in columns])
