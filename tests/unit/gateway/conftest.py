"""The gateway's app over engines without a model, asked through ASGI: no Ray, no sockets."""

from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from cluster.config import resolve
from cluster.engines.hashing import HashEmbedder
from cluster.engines.scripted import ScriptedEngine
from cluster.engines.tokenizing import read_prompt
from cluster.settings.engines import HashSettings, ScriptedSettings
from cluster.settings.tree import Settings
from cluster.types import ChatCall, EmbeddingCall, Embeddings, Health, ModelCard, TokenizeCall, Tokenized
from deployments.clients import Backends
from deployments.gateway import errors, health
from deployments.gateway.anthropic import routes as anthropic
from deployments.gateway.chats import Chats
from deployments.gateway.middleware import BodyLimit, RequestIds
from deployments.gateway.ollama import routes as ollama
from deployments.gateway.openai import routes as openai
from deployments.gateway.surface import take
from tests.unit import ready_tables
from tests.unit.gateway import analysed_routes


class LocalModel:
    """A chat model without a replica around it."""

    def __init__(self, engine: ScriptedEngine) -> None:
        self.engine = engine

    async def card(self) -> ModelCard:
        await self.engine.check_health()
        return ModelCard(
            id="echo", engine="scripted", revision="r", created=1, capabilities=self.engine.capabilities
        )

    async def chat(self, call: ChatCall) -> bytes:
        return await self.engine.chat(call)

    async def health(self) -> Health:
        await self.engine.check_health()
        return Health(status="running", figures={"running": self.engine.running})

    def stream(self, call: ChatCall) -> AsyncIterator[bytes]:
        return self.engine.stream(call)

    async def tokenize(self, call: TokenizeCall) -> Tokenized:
        return await self.engine.tokenize(call)

    async def detokenize(self, tokens: Sequence[int]) -> str:
        return await self.engine.detokenize(tokens)


class LocalEmbedder:
    def __init__(self) -> None:
        self.engine = HashEmbedder(HashSettings(dimensions=16))
        self.engine.start()

    async def card(self) -> ModelCard:
        return ModelCard(id="hash", engine="hash", revision="r", created=1, capabilities=self.engine.capabilities)

    async def embed(self, call: EmbeddingCall) -> Embeddings:
        return self.engine.embed(call.inputs)

    async def tokenize(self, call: TokenizeCall) -> Tokenized:
        wanted = read_prompt(call)
        return self.engine.encode(wanted.prompt, special=wanted.special, strings=wanted.return_token_strs)

    async def detokenize(self, tokens: Sequence[int]) -> str:
        return self.engine.decode(tokens)


def settings_with(**changes: Any) -> Settings:
    models = [
        {"id": "echo", "engine": {"kind": "scripted"}},
        {"id": "hash", "engine": {"kind": "hash", "dimensions": 16}},
    ]
    return resolve({"models": models, **changes}, {})


@pytest.fixture
async def model() -> LocalModel:
    return await started()


async def started(**script: Any) -> LocalModel:
    engine = ScriptedEngine(ScriptedSettings(**script), "echo", 64)
    await engine.start()
    return LocalModel(engine)


def app_over(model: LocalModel, settings: Settings | None = None) -> FastAPI:
    from collections import deque

    settings = settings or settings_with()
    backends = Backends(models={"echo": model}, embedder=LocalEmbedder())
    app = FastAPI()
    errors.install(app)
    chats = Chats(backends, settings)
    take(
        app,
        openai.router(backends, settings, chats),
        anthropic.router(backends.models, chats),
        ollama.router(backends, settings, chats),
        health.router(backends, deque()),
    )
    app.add_middleware(BodyLimit, max_bytes=settings.limits.max_body_bytes)
    app.add_middleware(RequestIds)
    return app


analysed_routes.install()
ready_tables.install()


def client_of(app: FastAPI) -> httpx.AsyncClient:
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    return httpx.AsyncClient(transport=transport, base_url="http://gateway")


@pytest.fixture
async def client(model: LocalModel) -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(app_over(model)) as client:
        yield client


@pytest.fixture
def ask(client: httpx.AsyncClient) -> Callable[..., Any]:
    async def post(**fields: Any) -> httpx.Response:
        body = {"model": "echo", "messages": [{"role": "user", "content": "one two three"}], **fields}
        return await client.post("/v1/chat/completions", json=body)

    return post
