"""An evaluation's rows in Parquet: one a query and mode, each with what it was measured on."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cluster.stores.draft import Draft
from pipelines.documents.evaluation.scores import Asked

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What an evaluation was of. created: Unix seconds. chunk_tokens, chunk_overlap: how documents were cut.

    model, revision: of the embedder. settings: what else the searches were asked with.
    """

    dataset: str
    split: str
    collection: str
    model: str
    revision: str
    chunk_tokens: int
    chunk_overlap: int
    documents: int
    created: float
    settings: Mapping[str, Any] = field(default_factory=dict)


def schema() -> "pa.Schema":
    """The columns. Parts are 0 to 1; NULL was not measured."""
    import pyarrow as pa

    text: pa.DataType = pa.string()
    number: pa.DataType = pa.float64()
    whole: pa.DataType = pa.int64()
    return pa.schema(
        [
            pa.field("dataset", text, nullable=False),
            pa.field("split", text, nullable=False),
            pa.field("collection", text, nullable=False),
            pa.field("model", text, nullable=False),
            pa.field("revision", text, nullable=False),
            pa.field("chunk_tokens", whole, nullable=False),
            pa.field("chunk_overlap", whole, nullable=False),
            pa.field("documents", whole, nullable=False),
            pa.field("created", pa.timestamp("us", tz="UTC"), nullable=False),
            pa.field("settings", text, nullable=False),
            pa.field("mode", text, nullable=False),
            pa.field("query_id", text, nullable=False),
            pa.field("ndcg_10", number, nullable=False),
            pa.field("recall_10", number, nullable=False),
            pa.field("recall_100", number, nullable=False),
            pa.field("mrr_10", number, nullable=False),
            pa.field("latency_ms", number, nullable=False),
            pa.field("index_recall", number),
            pa.field("error", text),
            pa.field("ranking", pa.list_(text), nullable=False),
        ]
    )


def write_results(file: Path, measured: Sequence[tuple[Measured, Sequence[Asked]]]) -> None:
    """Write all rows of one or more measurements. The file appears whole; a folder that is missing is made."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows = [_about(of) | asdict(row) for of, asked in measured for row in asked]
    sink = pa.BufferOutputStream()
    pq.write_table(pa.Table.from_pylist(rows, schema=schema()), sink, compression="zstd")
    with Draft(file) as draft:
        draft.write(sink.getvalue().to_pybytes())
        draft.publish()


def _about(of: Measured) -> dict[str, Any]:
    created = datetime.fromtimestamp(of.created, UTC)
    return asdict(of) | {"created": created, "settings": json.dumps(dict(of.settings), sort_keys=True)}
