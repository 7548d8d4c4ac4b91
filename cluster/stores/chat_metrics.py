"""What processing the embeddings of each chat has cost, in the SQL database: all gateways add to the same rows."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Column, Float, Index, Integer, String, Table, delete, func, insert, select, update

from cluster.stores.database import OWNER, UtcTime, metadata, now, take_turns
from cluster.stores.sql_store import SqlStore

CHAT = 256  # characters of a chat's id

chat_metrics = Table(
    "chat_metrics",
    metadata,
    Column("owner", String(OWNER), primary_key=True),
    Column("chat_id", String(CHAT), primary_key=True),
    Column("requests", Integer, nullable=False),
    Column("failures", Integer, nullable=False),
    Column("embeddings", Integer, nullable=False),
    Column("chunks", Integer, nullable=False),
    Column("chunk_vectors", Integer, nullable=False),
    Column("total_ms", Float, nullable=False),
    Column("last_ms", Float, nullable=False),
    Column("device", String(16), nullable=False),
    Column("updated_at", UtcTime, nullable=False),
    Index("chat_metrics_updated_at", "updated_at"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One processing. embeddings, chunks: 0 where it failed. chunk_vectors: of a chunk."""

    embeddings: int = 0
    chunks: int = 0
    chunk_vectors: int = 0
    took_ms: float = 0.0
    device: str = "cpu"
    failed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatMetrics:
    """The sum of a chat's steps, or of all chats of an owner. last_ms, chunk_vectors, device: of the latest."""

    requests: int = 0
    failures: int = 0
    embeddings: int = 0
    chunks: int = 0
    chunk_vectors: int = 0
    total_ms: float = 0.0
    last_ms: float = 0.0
    device: str | None = None
    updated_at: datetime | None = None

    @property
    def succeeded(self) -> int:
        """Requests that did not fail."""
        return self.requests - self.failures


class ChatMetricsStore(SqlStore):
    """Those of one database."""

    def add(self, owner: str, chat_id: str, step: Step) -> None:
        """Add a step to a chat's metrics, which begin with it where there are none."""
        table = chat_metrics.c
        here = (table.owner == owner) & (table.chat_id == chat_id)
        latest: dict[str, Any] = {"updated_at": now()}
        if not step.failed:
            latest |= {"last_ms": step.took_ms, "chunk_vectors": step.chunk_vectors, "device": step.device}
        added = {
            "requests": 1,
            "failures": int(step.failed),
            "embeddings": step.embeddings,
            "chunks": step.chunks,
            "total_ms": 0.0 if step.failed else step.took_ms,
        }
        with self._engine.begin() as connection:
            take_turns(connection, chat_metrics.name, owner, chat_id)
            sums = {name: table[name] + value for name, value in added.items()}
            if not connection.execute(update(chat_metrics).where(here).values(**sums, **latest)).rowcount:
                first = {"last_ms": 0.0, "chunk_vectors": 0, "device": step.device}
                row = {"owner": owner, "chat_id": chat_id, **first, **added, **latest}
                connection.execute(insert(chat_metrics).values(**row))

    def of(self, owner: str, chat_id: str) -> ChatMetrics:
        """A chat's metrics; those of nothing where there are none."""
        table = chat_metrics.c
        row = self._row(select(chat_metrics).where(table.owner == owner, table.chat_id == chat_id))
        return ChatMetrics() if row is None else _read(row)

    def all_of(self, owner: str) -> tuple[int, ChatMetrics]:
        """How many chats an owner has metrics of, and their sum."""
        table = chat_metrics.c
        summed = [table.requests, table.failures, table.embeddings, table.chunks, table.total_ms]
        sums: list[Any] = [func.sum(each).label(each.name) for each in summed]
        total = self._rows(select(func.count().label("chats"), *sums).where(table.owner == owner))[0]
        latest: Sequence[Any] = self._rows(
            select(chat_metrics).where(table.owner == owner).order_by(table.updated_at.desc()).limit(1)
        )
        if not latest:
            return 0, ChatMetrics()
        newest = _read(latest[0])
        return total.chats, ChatMetrics(
            requests=total.requests,
            failures=total.failures,
            embeddings=total.embeddings,
            chunks=total.chunks,
            total_ms=total.total_ms,
            last_ms=newest.last_ms,
            chunk_vectors=newest.chunk_vectors,
            device=newest.device,
            updated_at=newest.updated_at,
        )

    def forget(self, *, older_than_s: float) -> int:
        """Remove the metrics of chats that nothing was added to for so long; how many."""
        before = now() - timedelta(seconds=older_than_s)
        return self._change(delete(chat_metrics).where(chat_metrics.c.updated_at < before))


def _read(row: Any) -> ChatMetrics:
    return ChatMetrics(
        requests=row.requests,
        failures=row.failures,
        embeddings=row.embeddings,
        chunks=row.chunks,
        chunk_vectors=row.chunk_vectors,
        total_ms=row.total_ms,
        last_ms=row.last_ms,
        device=row.device,
        updated_at=row.updated_at,
    )
