"""Vector stores, their files and batches as OpenAI shows them."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from cluster.documents import Chunk
from cluster.settings.pipelines import DocumentSettings
from cluster.stores.collection_names import Collection
from cluster.stores.vector_store_files import CANCELLED, COMPLETED, IN_PROGRESS, Counts, StoreBatch, StoreFile


def store(made: Collection, counts: Counts, *, expired: bool) -> dict[str, Any]:
    """A vector store."""
    busy = counts.by_status[IN_PROGRESS] > 0
    expires = None if made.expires_days is None else {"anchor": "last_active_at", "days": made.expires_days}
    return {
        "id": made.id,
        "object": "vector_store",
        "created_at": _seconds(made.created_at),
        "name": made.title or "",
        "description": made.description,
        "usage_bytes": counts.usage_bytes,
        "file_counts": _file_counts(counts),
        "status": "expired" if expired else IN_PROGRESS if busy else COMPLETED,
        "expires_after": expires,
        "expires_at": None if made.expires_at is None else _seconds(made.expires_at),
        "last_active_at": _seconds(made.used_at),
        "metadata": dict(made.notes),
    }


def file(one: StoreFile, settings: DocumentSettings) -> dict[str, Any]:
    """A file of a store."""
    error = None if one.error_code is None else {"code": one.error_code, "message": one.error_message or ""}
    return {
        "id": one.file_id,
        "object": "vector_store.file",
        "usage_bytes": one.usage_bytes,
        "created_at": _seconds(one.created_at),
        "vector_store_id": one.store_id,
        "status": one.status,
        "last_error": error,
        "chunking_strategy": {
            "type": "static",
            "static": {
                "max_chunk_size_tokens": settings.chunk_tokens,
                "chunk_overlap_tokens": settings.chunk_overlap,
            },
        },
        "attributes": dict(one.attributes),
    }


def batch(one: StoreBatch, counts: Counts) -> dict[str, Any]:
    """A batch of files."""
    ended = CANCELLED if one.cancelled_at is not None else COMPLETED
    return {
        "id": one.id,
        "object": "vector_store.files_batch",
        "created_at": _seconds(one.created_at),
        "vector_store_id": one.store_id,
        "status": IN_PROGRESS if counts.by_status[IN_PROGRESS] else ended,
        "file_counts": _file_counts(counts),
    }


def content(chunks: Sequence[Chunk]) -> list[dict[str, str]]:
    """The text of a document, a part for each page, put together from its chunks, which overlap."""
    parts: dict[int | None, str] = {}
    read = 0
    for chunk in chunks:
        whole = len(chunk.text) == chunk.end - chunk.start
        new = chunk.text[max(0, read - chunk.start) :] if whole else chunk.text
        gap = "\n" if chunk.page in parts and chunk.start > read else ""
        parts[chunk.page] = parts.get(chunk.page, "") + gap + new
        read = max(read, chunk.end)
    return [{"type": "text", "text": text} for text in parts.values()]


def _file_counts(counts: Counts) -> dict[str, int]:
    return {**counts.by_status, "total": sum(counts.by_status.values())}


def _seconds(moment: datetime) -> int:
    return int(moment.timestamp())
