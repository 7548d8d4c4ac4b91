"""Chunks between the two stages: a Parquet file a group of documents, complete or not there."""

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path

from cluster.stores.chunk_table import chunks_of, schema, table_of
from cluster.types import Chunk


def write_chunks(folder: Path, chunks: Sequence[Chunk]) -> Path:
    """Write chunks, in their order; the file appears whole, and writing the same again replaces it."""
    import pyarrow.parquet as pq

    folder.mkdir(parents=True, exist_ok=True)
    name = hashlib.sha256("\n".join(chunk.id for chunk in chunks).encode()).hexdigest()[:32]
    file = folder / f"{name}.parquet"
    draft = file.with_suffix(f".{os.getpid()}.tmp")  # a stage that was thought dead may write it, too
    pq.write_table(table_of(chunks), draft)
    draft.replace(file)
    return file


def read_chunks(file: str, *, first: int, count: int) -> list[Chunk]:
    """`count` chunks from the row `first` on."""
    import pyarrow.parquet as pq

    return chunks_of(pq.read_table(file, schema=schema()).slice(first, count))
