"""`GET /health`: what runs, and how the machine that answers is doing."""

import asyncio
import json
from collections import deque
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from time import monotonic
from typing import Any

import psutil
from fastapi import APIRouter
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from cluster.errors import HeliostatError
from cluster.types import Health
from deployments.clients import Backends

PROBE_TIMEOUT_S = 2.0  # the same patience that Serve's own health check has


class ResponseTimes:
    """ASGI middleware that remembers how long the last requests took until their first byte."""

    def __init__(self, app: ASGIApp, *, window: deque[float]) -> None:
        self._app = app
        self._window = window

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        begun = monotonic()

        async def timed_send(message: Message) -> None:
            if message["type"] == "http.response.start":
                self._window.append(monotonic() - begun)
            await send(message)

        await self._app(scope, receive, timed_send)


def router(backends: Backends, window: deque[float], *, circuits: Callable[[], dict[str, str]] = dict) -> APIRouter:
    """The health route. `window` holds recent response times in seconds; `circuits` the breakers' states."""
    routes = APIRouter(tags=["Health"])

    @routes.get("/health", summary="What runs, and how well")
    @routes.get("/api/health", summary="The same, where a lab's front end looks for it")
    async def health() -> Response:
        parts = await _parts(backends)
        services = {name: part.status for name, part in parts.items()}
        failed = [name for name, state in services.items() if state != "running"]
        models_down = all(services[name] != "running" for name in backends.models)
        status = "healthy" if not failed else "unhealthy" if models_down else "degraded"
        content: dict[str, Any] = {
            "status": status,
            "timestamp": datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
            "services": services,
            "performance": _performance(window),
            "load": {name: parts[name].figures for name in backends.models if parts[name].figures},
            "circuits": circuits(),
            "providers": _providers(backends),
        }
        return Response(
            json.dumps(content),
            status_code=503 if status == "unhealthy" else 200,
            media_type="application/json",
        )

    return routes


def _providers(backends: Backends) -> dict[str, Any]:
    """How those are that list their models: without one of them all the others serve, so it is no failure here."""
    states = backends.providers.states() if backends.providers is not None else ()
    return {one.id: {"status": one.reason or "running", "models": one.models} for one in states}


async def _parts(backends: Backends) -> dict[str, Health]:
    probes: dict[str, Awaitable[Any]] = {name: model.health() for name, model in backends.models.items()}
    if backends.embedder is not None:
        probes["embedder"] = backends.embedder.card()
    probes |= {name: model.health() for name, model in backends.rerankers.items()}
    if backends.retriever is not None:
        probes["rag_system"] = backends.retriever.health()
    states = await asyncio.gather(*(_state(probe) for probe in probes.values()))
    return {"backend": Health(status="running"), **dict(zip(probes, states, strict=True))}


async def _state(probe: Awaitable[Any]) -> Health:
    try:
        async with asyncio.timeout(PROBE_TIMEOUT_S):
            answer = await probe
    except TimeoutError:
        return Health(status="silent")
    except HeliostatError as error:
        return Health(status=error.code, detail=error.message)
    return answer if isinstance(answer, Health) else Health(status="running")


def _performance(window: deque[float]) -> dict[str, str]:
    average = f"{1000 * sum(window) / len(window):.0f}ms" if window else "n/a"
    return {
        "response_time_avg": average,
        "memory_usage": f"{psutil.virtual_memory().percent:.0f}%",
        "cpu_usage": f"{psutil.cpu_percent():.0f}%",
    }
