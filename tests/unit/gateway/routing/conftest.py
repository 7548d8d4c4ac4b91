"""The whole app over several models that are told how to fail, and what its router says of them."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from time import monotonic
from typing import Any

import httpx

from cluster.config import resolve
from cluster.engines.scripted import ScriptedEngine
from cluster.errors import HeliostatError
from cluster.settings.engines import ScriptedSettings
from cluster.settings.tree import Settings
from cluster.stores.database import engine_of
from cluster.stores.events import DecisionEvent
from cluster.types import ChatCall, ModelCard
from deployments.clients import Backends
from deployments.gateway.app import build_app
from deployments.gateway.limits.gate import Gate, open_gate
from deployments.gateway.routing.build import open_router
from deployments.gateway.routing.router import Router
from tests.unit.gateway.conftest import LocalModel

ASKED = {"messages": [{"role": "user", "content": "one two three"}]}


class Named(LocalModel):
    """A model under a name of its own. failing: what every call raises while it is set."""

    def __init__(self, engine: ScriptedEngine, name: str) -> None:
        super().__init__(engine)
        self.name = name
        self.failing: HeliostatError | None = None
        self.cardless = False
        self.calls = 0

    async def card(self) -> ModelCard:
        if self.cardless and self.failing is not None:
            raise self.failing
        return ModelCard(
            id=self.name, engine="scripted", revision="r", created=1, capabilities=self.engine.capabilities
        )

    async def chat(self, call: ChatCall) -> bytes:
        self.calls += 1
        if self.failing is not None:
            raise self.failing
        return await self.engine.chat(call)

    async def stream(self, call: ChatCall) -> AsyncIterator[bytes]:
        self.calls += 1
        if self.failing is not None:
            raise self.failing
        async for event in self.engine.stream(call):
            yield event


class House:
    """A gateway over named models, with what it decided."""

    def __init__(
        self, settings: Settings, models: dict[str, Named], *, running: dict[str, int] | None = None
    ) -> None:
        self.settings = settings
        self.models = models
        self.gate: Gate = open_gate(settings)
        counts = running or {}

        self.engine = engine_of("sqlite://")
        self.now: float | None = None  # on the breakers' clock; None is the real one
        self.router: Router = open_router(
            settings,
            gate=self.gate,
            engine=self.engine,
            running=counts.get,
            clock=lambda: monotonic() if self.now is None else self.now,
        )
        self.app = build_app(
            Backends(models=models), settings, gate=self.gate, engine=self.engine, router=self.router
        )

    @asynccontextmanager
    async def client(self) -> AsyncIterator[httpx.AsyncClient]:
        transport = httpx.ASGITransport(self.app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://gateway") as client:
            yield client

    async def ask(self, model: str, headers: dict[str, str] | None = None, **fields: Any) -> httpx.Response:
        async with self.client() as client:
            body = {"model": model, **ASKED, **fields}
            return await client.post("/v1/chat/completions", json=body, headers=headers)

    def events(self, kind: str) -> list[DecisionEvent]:
        return [event for event in self.router.events.recent if event.kind == kind]


async def house(
    models: dict[str, dict[str, Any]],
    *,
    scripts: dict[str, dict[str, Any]] | None = None,
    contexts: dict[str, int] | None = None,
    running: dict[str, int] | None = None,
    **changes: Any,
) -> House:
    """models: settings beside id and engine, by id. scripts, contexts: of their engines."""
    listed = [{"id": name, "engine": {"kind": "scripted"}, **more} for name, more in models.items()]
    settings = resolve({"models": listed, "hub": {"max_cached_models": 9}, **changes}, {})
    named = {}
    for name in models:
        engine = ScriptedEngine(
            ScriptedSettings(**(scripts or {}).get(name, {})), name, (contexts or {}).get(name, 64)
        )
        await engine.start()
        named[name] = Named(engine, name)
    return House(settings, named, running=running)
