"""Where exported rows come from: a table in memory, or a stored run that is read as a stream."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import pyarrow as pa

    from cluster.stores.run_snapshot import Snapshot

BATCH = 1000  # rows held at a time


class Source(Protocol):
    """Rows of a run, in `cluster.stores.runs.schema`'s columns; read as often as is asked, always the same."""

    def batches(self, columns: Sequence[str] | None = None) -> "Iterator[pa.RecordBatch]":
        """The rows in the plan's order; all columns, or those named."""

    def schema(self) -> "pa.Schema":
        """The columns there are."""


@dataclass(frozen=True, slots=True)
class TableSource:
    """Rows that are in memory."""

    rows: "pa.Table"

    def batches(self, columns: Sequence[str] | None = None) -> "Iterator[pa.RecordBatch]":
        """See `Source`."""
        chosen = self.rows if columns is None else self.rows.select([*columns])
        yield from chosen.to_batches(max_chunksize=BATCH)

    def schema(self) -> "pa.Schema":
        """See `Source`."""
        return self.rows.schema


@dataclass(frozen=True, slots=True)
class SnapshotSource:
    """A stored run: the rows never are in memory together."""

    snapshot: "Snapshot"

    def batches(self, columns: Sequence[str] | None = None) -> "Iterator[pa.RecordBatch]":
        """See `Source`. Raises FileNotFoundError where the run was compacted since the snapshot."""
        return self.snapshot.batches(columns, size=BATCH)

    def schema(self) -> "pa.Schema":
        """See `Source`."""
        from cluster.stores.runs import schema

        return schema()
