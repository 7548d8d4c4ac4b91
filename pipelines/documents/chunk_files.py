"""Chunks between the two stages: a Parquet file a group of documents, complete or not there."""

import hashlib
from collections.abc import Sequence
from pathlib import Path

from cluster.documents import Chunk
from cluster.stores.chunk_table import chunks_of, schema, table_of
from cluster.stores.draft import Draft


def write_chunks(folder: Path, chunks: Sequence[Chunk]) -> Path:
    """Write chunks, in their order; the file appears whole, and writing the same again replaces it."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    sink = pa.BufferOutputStream()
    pq.write_table(table_of(chunks), sink)
    name = hashlib.sha256("\n".join(chunk.id for chunk in chunks).encode()).hexdigest()[:32]
    with Draft(folder / f"{name}.parquet") as draft:  # a stage that was thought dead may write it, too
        draft.write(sink.getvalue().to_pybytes())
        draft.publish(durable=False)  # a power cut ends the run whose file it is
    return draft.final


def read_chunks(file: str, *, first: int, count: int) -> list[Chunk]:
    """`count` chunks from the row `first` on."""
    import pyarrow.parquet as pq

    return chunks_of(pq.read_table(file, schema=schema()).slice(first, count))
