"""The routes over a scripted retriever and an engine without a model."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from cluster.errors import CollectionNotFound
from cluster.settings.tree import Settings
from cluster.types import ModelCard
from deployments.clients import Backends, ChatModel
from deployments.gateway import errors
from deployments.gateway.chats import Chats
from deployments.gateway.limits.gate import Gate, open_gate
from deployments.gateway.middleware import RequestIds
from deployments.gateway.model_records.visit import Visited
from deployments.gateway.rag import routes
from deployments.gateway.rag.answers import Answers
from deployments.gateway.rag.searching import open_searches
from deployments.gateway.surface import take
from tests.unit.gateway.conftest import LocalEmbedder, client_of, settings_with
from tests.unit.gateway.rag.passages import Shelf
from tests.unit.gateway.responses.conftest import Owners, Told


class Wide(Told):
    """A model that says what it is told, and has room for every prompt here."""

    async def card(self) -> ModelCard:
        card = await super().card()
        return replace(card, capabilities=replace(card.capabilities, context_length=4096))


@dataclass
class Book:
    """Keeps what came of each visit at a model."""

    visits: list[Visited] = field(default_factory=list)

    def name_of(self, model: str) -> str:
        return model

    def add(self, visited: Visited) -> None:
        self.visits.append(visited)


class Directory:
    """Knows the shared collection, and `books` of each person."""

    async def resolve(self, owner: str, name_or_id: str | None, *, operator: bool = False) -> str:
        if name_or_id is None:
            return "documents"
        if name_or_id == "books":
            return f"t-{owner}-books"
        if name_or_id == "filled" and operator:
            return name_or_id
        raise CollectionNotFound(f"No collection {name_or_id!r}", param="collection")


@dataclass
class Api:
    """What is asked, and what stands behind it."""

    client: httpx.AsyncClient
    shelf: Shelf
    chats: Chats
    answers: Answers

    async def search(self, query: str = "toll", **fields: Any) -> httpx.Response:
        return await self.client.post("/api/v1/rag/search", json={"query": query, **fields})

    async def query(self, query: str = "What is the toll?", **fields: Any) -> httpx.Response:
        return await self.client.post("/api/v1/rag/query", json={"query": query, **fields})


def api_over(models: dict[str, ChatModel], shelf: Shelf, settings: Settings, gate: Gate | None = None) -> Api:
    backends = Backends(models=models, embedder=LocalEmbedder(), retriever=shelf)  # type: ignore[arg-type]
    chats = Chats(backends, settings, gate=gate or open_gate(settings), records=Book())
    app = FastAPI()
    errors.install(app)
    searches = open_searches(backends, settings, chats, Directory())
    take(app, routes.router(backends, settings, chats, searches))
    app.add_middleware(RequestIds)
    app.add_middleware(Owners)
    answers = Answers(backends, settings, chats, searches)
    return Api(client=client_of(app), shelf=shelf, chats=chats, answers=answers)


@pytest.fixture
def api() -> Callable[..., Api]:
    """An API over one model, `echo`, and what the retriever finds."""

    def made(model: ChatModel, shelf: Shelf | None = None, **changes: Any) -> Api:
        return api_over({"echo": model}, shelf or Shelf(), settings_with(**changes))

    return made
