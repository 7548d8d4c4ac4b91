"""`/api/v1/models`: what may be loaded, what is, and having it loaded and unloaded."""

import json
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import asdict
from typing import Any

from fastapi import APIRouter, FastAPI, Request
from pydantic import field_validator
from starlette.responses import Response, StreamingResponse

from cluster.durations import seconds
from cluster.errors import ModelNotFound
from cluster.stores.promotions import Promotion
from cluster.types import LoadedModel, ModelCard, ModelEvent
from deployments.clients import Fleet
from deployments.gateway.bodies import json_body
from deployments.gateway.lifetimes import guarded
from deployments.gateway.models.on_demand import Available
from deployments.gateway.parsing import parse
from deployments.gateway.principal import Principal, principal_of
from deployments.gateway.promoted import Promoted
from deployments.gateway.wire import Wire

QUIET_S = 15.0  # a comment goes out after that long without an event, so that proxies keep the stream
KEPT = 1_000  # events that a follower is told of what was before it


class LoadRequest(Wire):
    """How to keep a model. keep_alive: idle time after which it goes: seconds, `10m`, 0 at once, -1 never."""

    pin: bool | None = None
    keep_alive: float | int | str | None = None

    @field_validator("keep_alive")
    @classmethod
    def _span(cls, said: float | str | None) -> float | None:
        if said is None:
            return None
        try:
            return seconds(said)
        except ValueError:
            raise ValueError("a span of time: seconds, 10m, 0 for not at all, -1 for ever") from None


class UnloadRequest(Wire):
    """force: also while requests use it; they end with an error."""

    force: bool = False


def router(models: Available, fleet: Fleet, promoted: Promoted | None = None) -> APIRouter:
    """The routes of the fleet. promoted: what a row says of its model's promoted parameters, where it has some."""
    promoted = promoted or Promoted(None)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        models.watch()
        yield
        await models.close()

    routes = APIRouter(prefix="/api/v1/models", tags=["Models"], lifespan=lifespan)

    @routes.get("", summary="The models that may be asked for, loaded or not")
    async def list_models(request: Request) -> dict[str, Any]:
        may_ask = principal_of(request).may_ask
        await models.tell()
        loaded = {model.id: model for model in await fleet.loaded()}
        rows = [_loaded(model) for model in loaded.values()]
        rows += [_unloaded(card) for card in models.loadable() if card.id not in loaded]
        known = await promoted.now()
        return {"object": "list", "data": [_with_defaults(row, known) for row in rows if may_ask(row["id"])]}

    @routes.get("/loaded", summary="The models that are loaded, or on their way")
    async def list_loaded(request: Request) -> dict[str, Any]:
        may_ask = principal_of(request).may_ask
        await models.tell()
        rows = [_loaded(model) for model in await fleet.loaded() if may_ask(model.id)]
        known = await promoted.now()
        return {"object": "list", "data": [_with_defaults(row, known) for row in rows]}

    @routes.get("/events", summary="What happens to models, as server-sent events", response_model=None)
    async def follow(request: Request, after: int = 0) -> Response:
        may_ask = principal_of(request).may_ask
        return StreamingResponse(
            guarded(_told(fleet, after, may_ask)),
            media_type="text/event-stream",
            headers={"cache-control": "no-cache", "x-accel-buffering": "no"},
        )

    @routes.post("/{model_id:path}/load", summary="Load a model", openapi_extra=json_body(LoadRequest))
    async def load(model_id: str, request: Request) -> dict[str, Any]:
        wanted = parse(LoadRequest, await request.body() or b"{}")
        name = known(models, model_id, principal_of(request))
        keep_alive_s = None if wanted.keep_alive is None else float(wanted.keep_alive)
        return _loaded(await fleet.load(name, pin=wanted.pin, keep_alive_s=keep_alive_s))

    @routes.post("/{model_id:path}/unload", summary="Unload a model", openapi_extra=json_body(UnloadRequest))
    async def unload(model_id: str, request: Request) -> dict[str, Any]:
        wanted = parse(UnloadRequest, await request.body() or b"{}")
        name = known(models, model_id, principal_of(request))
        await fleet.unload(name, force=wanted.force)
        return {"object": "model.state", "id": name, "state": "unloaded"}

    return routes


def known(models: Available, model_id: str, principal: Principal) -> str:
    """The fleet's name of a model. Raises ModelNotFound, also where who asks may not ask it."""
    name = models.name_of(model_id) if principal.may_ask(model_id) else None
    if name is None:
        near = models.nearest(model_id, principal.may_ask)
        hint = f"did you mean {', '.join(near)}?" if near else "GET /api/v1/models lists them all"
        raise ModelNotFound(f"No model is called {model_id[:128]!r}", hint=hint, param="model_id")
    return name


async def _told(fleet: Fleet, after: int, may_ask: Any) -> AsyncGenerator[bytes, None]:
    yield b": what has happened, then what comes\n\n"
    while True:
        events = await fleet.changed(after, QUIET_S)
        if not events:
            yield b": nothing new\n\n"
        for event in events:
            after = event.number
            if may_ask(event.model):
                yield _event(event)


def _event(event: ModelEvent) -> bytes:
    return f"id: {event.number}\nevent: {event.what}\ndata: {json.dumps(asdict(event))}\n\n".encode()


def _with_defaults(row: dict[str, Any], known: Mapping[str, Promotion]) -> dict[str, Any]:
    """A row with what was promoted for its model: absent where nothing was."""
    promotion = known.get(row["id"])
    return row if promotion is None else {**row, "promoted": promotion.as_json()}


def _loaded(model: LoadedModel) -> dict[str, Any]:
    row = {"object": "model.state", **asdict(model), "state": str(model.state)}
    return row | {"memory_gib": round(model.memory_gib, 3), "load_s": round(model.load_s, 3)}


def _unloaded(card: ModelCard) -> dict[str, Any]:
    return {
        "object": "model.state",
        "id": card.id,
        "state": "unloaded",
        "engine": card.engine,
        "memory_gib": None if card.memory_gib is None else round(card.memory_gib, 3),
        "context_length": card.capabilities.context_length,
    }
