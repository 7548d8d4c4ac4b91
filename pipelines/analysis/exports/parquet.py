"""Parquet: the columns in their types, zstd; what other tools should read a run from."""

from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    from pipelines.analysis.exports.export import Export

GROUP_ROWS = 20_000
GROUP_BYTES = 32 * 2**20  # a row group is held in memory while it is written


def write_parquet(export: "Export", target: BinaryIO) -> int:
    """Write the rows; returns how many."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    count = 0
    held: list[pa.RecordBatch] = []
    with pq.ParquetWriter(target, export.schema, compression="zstd") as writer:

        def flush() -> None:
            if held:
                writer.write_table(pa.Table.from_batches(held, schema=export.schema))
                held.clear()

        for batch in export.batches():
            held.append(batch)
            count += batch.num_rows
            if sum(one.num_rows for one in held) >= GROUP_ROWS or sum(one.nbytes for one in held) >= GROUP_BYTES:
                flush()
        flush()
    return count
