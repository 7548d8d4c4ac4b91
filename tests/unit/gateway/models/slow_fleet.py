"""A gateway whose fleet loads its one model when a test says so."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import httpx
from fastapi import FastAPI

from cluster.errors import HeliostatError
from cluster.settings.fleet import FleetSettings
from cluster.stores.database import engine_of
from cluster.stores.events import DecisionEvent
from cluster.types import Claim, LoadedModel, ModelState
from deployments.clients import Backends, ChatModel
from deployments.gateway import errors
from deployments.gateway.anthropic import routes as anthropic
from deployments.gateway.chats import Chats
from deployments.gateway.limits.gate import open_gate
from deployments.gateway.middleware import RequestIds
from deployments.gateway.models.claims import Claims
from deployments.gateway.models.on_demand import Available, unloaded
from deployments.gateway.models.use import Uses
from deployments.gateway.ollama import routes as ollama
from deployments.gateway.openai import routes as openai
from deployments.gateway.openai.responses import routes as responses
from deployments.gateway.openai.responses.desk import Desk
from deployments.gateway.routing.build import open_router
from deployments.gateway.routing.journey import Journeys
from deployments.gateway.surface import take
from tests.unit.gateway.conftest import settings_with
from tests.unit.gateway.models.test_on_demand import Fleet, row, started

ASKED = {"messages": [{"role": "user", "content": "one two three"}]}


class SlowFleet(Fleet):
    """`loaded` has a model be there, `failing` has its load fail. waiting: claims that nobody has answered."""

    def __init__(self) -> None:
        super().__init__()
        self.there = asyncio.Event()
        self.failing: HeliostatError | None = None
        self.waiting = 0
        self.given_up = 0
        self.detail = "waiting for room: all are\nin use"

    async def claim(self, name: str, holder: str, *, wait_s: float | None = None) -> Claim:
        self.waiting += 1
        try:
            await self.there.wait()
        except asyncio.CancelledError:
            self.given_up += 1
            raise
        finally:
            self.waiting -= 1
        if self.failing is not None:
            raise self.failing
        return await super().claim(name, holder, wait_s=wait_s)

    async def loaded(self) -> tuple[LoadedModel, ...]:
        if self.there.is_set():
            return (row("big"),)
        return (replace(row("big"), state=ModelState.LOADING, load_s=12.3, detail=self.detail),)


class Gateway:
    """The app, its fleet, and what its router decided."""

    def __init__(self, app: FastAPI, fleet: SlowFleet, events: Any, claims: Claims) -> None:
        self.app = app
        self.fleet = fleet
        self.claims = claims
        self._events = events

    def events(self, kind: str) -> list[DecisionEvent]:
        return [event for event in self._events.recent if event.kind == kind]

    def client(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(transport=httpx.ASGITransport(self.app), base_url="http://gateway")

    async def post(self, path: str = "/v1/chat/completions", **fields: Any) -> httpx.Response:
        headers = fields.pop("headers", None)
        async with self.client() as client:
            return await client.post(path, json={"model": "big", **ASKED, **fields}, headers=headers)


@asynccontextmanager
async def gateway(
    *, after_s: float = 0.01, every_s: float = 0.01, loading: tuple[str, ...] = ()
) -> AsyncIterator[Gateway]:
    """echo is always there, big is loaded. loading: who answers for it meanwhile."""
    fleet, big = SlowFleet(), await started("big")
    card = unloaded("big", engine="scripted", context_length=64, images=False, memory_gib=1.0)
    connected: dict[str, ChatModel] = {"big": big}
    claims = Claims(fleet, connected.__getitem__, linger_s=0.01)
    available = Available({"echo": await started("echo")}, claims, lambda: {"big": card})
    settings = settings_with(
        models=[
            {"id": "echo", "engine": {"kind": "scripted"}},
            {"id": "big", "engine": {"kind": "scripted"}, "load": "on_demand", "fallbacks": {"loading": loading}},
        ]
    )
    gate, database = open_gate(settings), engine_of("sqlite://")
    router = open_router(settings, gate=gate)
    backends = Backends(models=available, fleet=fleet)
    chats = Chats(backends, settings, gate=gate, router=router)
    app = FastAPI()
    errors.install(app)
    take(app, openai.router(backends, settings, chats), responses.router(Desk(settings, chats, database)))
    take(app, anthropic.router(available, chats), ollama.router(backends, settings, chats))
    app.add_middleware(Uses, fleet=FleetSettings(progress_after_s=after_s, progress_every_s=every_s))
    app.add_middleware(Journeys)
    app.add_middleware(RequestIds)
    yield Gateway(app, fleet, router.events, claims)
    await claims.close()
