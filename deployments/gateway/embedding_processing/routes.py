"""`/api/v1/embeddings/process`, and `/api/hpc-metrics`, which a chat's display polls."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict
from datetime import timedelta
from typing import Annotated, Any

from fastapi import APIRouter, FastAPI, Query, Request

from cluster.settings.processing import ProcessingSettings
from cluster.stores.chat_metrics import CHAT, ChatMetrics
from deployments.gateway.bodies import json_body
from deployments.gateway.embedding_processing.desk import Desk, Done
from deployments.gateway.embedding_processing.machine import MIB, Memory, memory
from deployments.gateway.embedding_processing.wire import CHAT_ID, ProcessBody
from deployments.gateway.parsing import parse
from deployments.gateway.principal import principal_of
from pipelines.embeddings.process import Warned
from pipelines.embeddings.similarity import EDGES

ChatId = Annotated[
    str | None,
    Query(
        alias="chatId",
        min_length=1,
        max_length=CHAT,
        pattern=CHAT_ID,
        description="Of one chat; without it, of all of yours.",
    ),
]


def router(desk: Desk) -> APIRouter:
    """The routes over a desk, which is closed with the app."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        desk.close()

    routes = APIRouter(tags=["Embeddings"], lifespan=lifespan)

    @routes.post(
        "/api/v1/embeddings/process",
        summary="Normalise a chat's embeddings, compare them, and show how they lie",
        openapi_extra=json_body(ProcessBody),
    )
    async def process_embeddings(request: Request) -> dict[str, Any]:
        wanted = parse(ProcessBody, await request.body())
        return _processed(wanted, await desk.process(request, wanted), desk.settings)

    @routes.get("/api/hpc-metrics", summary="What processing a chat's embeddings has cost")
    async def hpc_metrics(request: Request, chat_id: ChatId = None) -> dict[str, Any]:
        chats, found = await desk.metrics(principal_of(request).owner, chat_id)
        return _metrics(chat_id, chats, found, memory(), desk.settings)

    return routes


def _processed(wanted: ProcessBody, done: Done, settings: ProcessingSettings) -> dict[str, Any]:
    found = done.processed
    told: dict[str, Any] = {
        "chat_id": wanted.chat_id,
        "count": len(found.unit),
        "dimensions": found.unit.shape[1],
        "device": found.device,
        "chunk_size": found.chunk,
        "chunks": found.chunks,
        "duration_ms": round(done.took_ms, 1),
        "warnings": _warnings(done.warnings),
    }
    if wanted.texts is not None:
        told["model"] = done.model
        told["usage"] = {"prompt_tokens": done.tokens, "total_tokens": done.tokens}
        told["truncated"] = done.truncated
    return told | {part: _part(part, wanted, done, settings) for part in dict.fromkeys(wanted.include)}


def _part(part: str, wanted: ProcessBody, done: Done, settings: ProcessingSettings) -> Any:
    found, alike = done.processed, done.processed.similarity
    if part == "embeddings":
        return found.unit.tolist()
    if part == "centroid":
        near = found.to_centroid
        return {
            "vector": found.centroid.tolist(),
            "mean_cosine": round(float(near.mean()), 6),
            "min_cosine": round(float(near.min()), 6),
        }
    if part == "similarity":
        return {
            "pairs": alike.pairs,
            "mean": round(alike.mean, 6),
            "std": round(alike.std, 6),
            "min": round(alike.lowest, 6),
            "max": round(alike.highest, 6),
            "histogram": {"edges": [round(float(edge), 6) for edge in EDGES], "counts": list(alike.counts)},
        }
    if part == "duplicates":
        threshold = wanted.duplicate_threshold
        return {
            "threshold": settings.duplicate_cosine if threshold is None else threshold,
            "total": alike.doubles_total,
            "pairs": [asdict(double) for double in alike.doubles],
        }
    projection = found.projection
    return {
        "method": "pca",
        "points": projection.points.tolist(),
        "explained_variance": [round(share, 6) for share in projection.explained],
    }


def _metrics(
    chat_id: str | None, chats: int, found: ChatMetrics, machine: Memory, settings: ProcessingSettings
) -> dict[str, Any]:
    """As a display reads it: names as in JavaScript, times in milliseconds, sizes in MiB."""
    warnings = []
    if machine.used > settings.warn_memory:
        warnings.append(Warned(code="memory_high", message=f"{machine.used:.0%} of the memory is in use"))
    if found.last_ms > settings.warn_ms:
        warnings.append(Warned(code="slow", message=f"the last processing took {found.last_ms:.0f} ms"))
    updated = found.updated_at
    expires = None if updated is None else updated + timedelta(seconds=settings.keep_s)
    total_s = found.total_ms / 1000
    return {
        "chatId": chat_id,
        "chats": chats,
        "status": "idle" if updated is None else "warning" if warnings else "ok",
        "backend": {"status": "running", "device": found.device or "cpu", "gpus": settings.gpus},
        "memory": {
            "processMiB": round(machine.own / MIB, 1),
            "availableMiB": round(machine.free / MIB, 1),
            "totalMiB": round(machine.total / MIB, 1),
            "usedShare": round(machine.used, 4),
            "warnShare": settings.warn_memory,
        },
        "processing": {
            "requests": found.requests,
            "failures": found.failures,
            "embeddings": found.embeddings,
            "chunks": found.chunks,
            "chunkSize": found.chunk_vectors or settings.chunk_vectors,
            "lastMs": round(found.last_ms, 1),
            "meanMs": round(found.total_ms / found.succeeded, 1) if found.succeeded else 0.0,
            "embeddingsPerSecond": round(found.embeddings / total_s, 1) if total_s else 0.0,
        },
        "warnings": _warnings(tuple(warnings)),
        "updatedAt": None if updated is None else updated.isoformat(),
        "expiresAt": None if expires is None else expires.isoformat(),
        "pollIntervalMs": settings.poll_ms,
    }


def _warnings(warnings: tuple[Warned, ...]) -> list[dict[str, str]]:
    return [asdict(warning) for warning in warnings]
