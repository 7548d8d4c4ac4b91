"""A whole app over a scripted model, and a provider whose list a test writes."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx
import pytest_asyncio

from cluster.config import resolve
from cluster.engines.remote.providers import Providers
from cluster.stores.database import engine_of
from deployments.clients import Backends
from deployments.gateway.app import build_app
from deployments.gateway.limits.gate import open_gate
from deployments.gateway.providers.provided import Provided
from deployments.gateway.routing.build import open_router
from deployments.gateway.routing.router import Router
from tests.unit.engines.remote.fake_openai import CONTEXT, REMOTE, FakeOpenAI
from tests.unit.engines.remote.tiny_server import TinyServer, serving
from tests.unit.gateway.conftest import LocalEmbedder, LocalModel, started
from tests.unit.waiting import until

FULL = f"far/{REMOTE}"
LISTED = [{"id": REMOTE, "max_model_len": CONTEXT}, {"id": "text-embed"}, {"id": "other"}]


@dataclass
class House:
    """fake: the provider. url: of the database, for a second gateway."""

    client: httpx.AsyncClient
    fake: FakeOpenAI
    tiny: TinyServer
    providers: Providers
    router: Router
    model: LocalModel

    async def known(self) -> None:
        """Wait for the provider's list."""
        self.providers.look()
        await until(lambda: self.providers.states()[0].reason is None)


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def shared() -> AsyncIterator[House]:
    """One for all tests of a module that change nothing but the choice: an app takes longer to make than a test."""
    async with house() as made:
        await made.known()
        yield made


@pytest_asyncio.fixture(loop_scope="module")
async def home(shared: House) -> House:
    """The shared one, with no provider chosen and nothing told yet."""
    await shared.client.post("/api/llm/provider/switch", json={"provider": None})
    shared.router.events.recent.clear()
    return shared


@asynccontextmanager
async def house(
    *, database: str = "sqlite://", offer: dict[str, Any] | None = None, **changes: Any
) -> AsyncIterator[House]:
    fake, model = await FakeOpenAI().start(), await started()
    fake.listed = list(LISTED)
    async with serving(fake) as tiny:
        args = {
            "models": [
                {"id": "echo", "engine": {"kind": "scripted"}},
                {"id": "hash", "engine": {"kind": "hash", "dimensions": 16}},
            ],
            "providers": [{"id": "far", "kind": "openai", "base_url": f"{tiny.url}/v1", **(offer or {})}],
            **changes,
        }
        settings = resolve(args, {})
        providers = Providers(settings, key=lambda _: None)
        backends = Backends(
            models=Provided({"echo": model}, providers), embedder=LocalEmbedder(), providers=providers
        )
        gate, engine = open_gate(settings), engine_of(database)
        router = open_router(settings, gate=gate, engine=engine)
        app = build_app(backends, settings, gate=gate, engine=engine, router=router)
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://gateway") as client:
            try:
                yield House(client, fake, tiny, providers, router, model)
            finally:
                await providers.stop()
                engine.dispose()
