"""Chunks as a table of Parquet, where they wait between stages and where they are kept beside their vectors."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

from cluster.documents import Chunk

if TYPE_CHECKING:
    import pyarrow as pa


def schema() -> "pa.Schema":
    """A column a field of Chunk."""
    import pyarrow as pa

    types: dict[str, pa.DataType] = {
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
    return pa.schema(types)


def table_of(chunks: Sequence[Chunk]) -> "pa.Table":
    """The chunks, a row each, in their order."""
    import pyarrow as pa

    return pa.Table.from_pylist([asdict(chunk) for chunk in chunks], schema=schema())


def chunks_of(table: "pa.Table") -> list[Chunk]:
    """The rows as chunks; columns that are not a chunk's are left out."""
    return [Chunk(**row) for row in table.select(schema().names).to_pylist()]
