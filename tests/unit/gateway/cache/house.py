"""A gateway with a cache over an engine without a model, which counts what it is asked."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import httpx
from fastapi import FastAPI
from starlette.types import ASGIApp, Receive, Scope, Send

from cluster.engines.hashing import HashEmbedder
from cluster.settings.engines import HashSettings
from cluster.types import ChatCall, EmbeddingCall, Embeddings, ModelCard
from deployments.clients import Backends
from deployments.gateway import errors
from deployments.gateway.cache.answers import AnswerCache
from deployments.gateway.cache.build import open_caches
from deployments.gateway.cache.http import CacheHeaders
from deployments.gateway.chats import Chats
from deployments.gateway.middleware import RequestIds
from deployments.gateway.openai import routes as openai
from deployments.gateway.principal import LOCAL
from deployments.gateway.surface import take
from tests.unit.gateway.conftest import LocalEmbedder, LocalModel, client_of, settings_with

ASKED = {"model": "echo", "messages": [{"role": "user", "content": "one two three"}], "temperature": 0}


class Counted(LocalModel):
    """A model that knows how often it was asked, and whose revision can change."""

    asked = 0
    revision = "r"

    async def card(self) -> ModelCard:
        return replace(await super().card(), revision=self.revision)

    async def chat(self, call: ChatCall) -> bytes:
        self.asked += 1
        return await super().chat(call)

    def stream(self, call: ChatCall) -> AsyncIterator[bytes]:
        self.asked += 1
        return super().stream(call)


class CountedEmbedder(LocalEmbedder):
    def __init__(self) -> None:
        super().__init__()
        self.engine = HashEmbedder(HashSettings(dimensions=256))  # where words do not meet by chance
        self.inputs: list[Any] = []

    async def embed(self, call: EmbeddingCall) -> Embeddings:
        self.inputs += call.inputs
        return await super().embed(call)


class Owners:
    """In place of authentication: `x-owner` says who asks."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            owner = dict(scope["headers"]).get(b"x-owner", b"local").decode()
            scope.setdefault("state", {})["principal"] = replace(LOCAL, owner=owner)
        await self._app(scope, receive, send)


class House:
    """A gateway with a cache. asked: how often its model was."""

    def __init__(self, model: Counted, **cache: Any) -> None:
        self.model = model
        self.embedder = CountedEmbedder()
        settings = settings_with(cache={"enabled": True, **cache})
        backends = Backends(models={"echo": model}, embedder=self.embedder)
        app = FastAPI()
        errors.install(app)
        self.chats = Chats(backends, settings, caches=open_caches(settings, embedder=self.embedder))
        take(app, openai.router(backends, settings, self.chats))
        for middleware in (CacheHeaders, Owners, RequestIds):
            app.add_middleware(middleware)  # type: ignore[arg-type]
        self.client = client_of(app)

    async def ask(self, headers: dict[str, str] | None = None, **fields: Any) -> httpx.Response:
        return await self._post("/v1/chat/completions", {**ASKED, **fields}, headers)

    async def embed(self, given: Any, headers: dict[str, str] | None = None) -> httpx.Response:
        return await self._post("/v1/embeddings", {"model": "hash", "input": given}, headers)

    async def _post(self, path: str, body: Any, headers: dict[str, str] | None) -> httpx.Response:
        response = await self.client.post(path, json=body, headers=headers)
        assert self.chats.caches is not None
        await self.chats.caches.answers.settled()
        await self.chats.caches.vectors.settled()
        return response


async def all_stored() -> None:
    """Wait for the answers that are being stored, in this event loop, behind their askers' backs."""
    keeping = AnswerCache._keep.__qualname__
    tasks = [task for task in asyncio.all_tasks() if getattr(task.get_coro(), "__qualname__", "") == keeping]
    await asyncio.gather(*tasks)


def outcome(response: httpx.Response) -> str | None:
    return response.headers.get("x-heliostat-cache")


def chunks(response: httpx.Response) -> list[dict[str, Any]]:
    assert response.text.endswith("data: [DONE]\n\n")
    return [json.loads(event.removeprefix("data: ")) for event in response.text.split("\n\n")[:-2]]


def said(response: httpx.Response) -> str:
    return "".join(c["choices"][0]["delta"].get("content") or "" for c in chunks(response) if c["choices"])
