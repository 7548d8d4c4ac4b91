"""Chunks between the two stages: one Parquet file a document, complete or not there."""

import os
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from cluster.types import Chunk

_TYPES: dict[str, pa.DataType] = {
    "id": pa.string(),
    "document_id": pa.string(),
    "source": pa.string(),
    "ordinal": pa.int32(),
    "start": pa.int64(),
    "end": pa.int64(),
    "text": pa.string(),
    "tokens": pa.int32(),
    "page": pa.int32(),
    "heading": pa.string(),
}
SCHEMA = pa.schema(_TYPES)


def write_chunks(folder: Path, document_id: str, chunks: Sequence[Chunk]) -> Path:
    """Write a document's chunks; the file appears whole, and writing it again replaces it."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{document_id}.parquet"
    draft = file.with_suffix(f".{os.getpid()}.tmp")  # two names of the same bytes may be cut at once
    pq.write_table(pa.Table.from_pylist([asdict(chunk) for chunk in chunks], schema=SCHEMA), draft)
    draft.replace(file)
    return file


def read_chunks(file: str, *, first: int, count: int) -> list[Chunk]:
    """`count` chunks from the ordinal `first` on."""
    rows = pq.read_table(file, schema=SCHEMA).slice(first, count).to_pylist()
    return [Chunk(**row) for row in rows]
