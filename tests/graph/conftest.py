"""The whole Serve graph in one process: Serve's local testing mode, engines without a model."""

from collections.abc import AsyncIterator

import httpx
import pytest
from fastapi import FastAPI

from cluster.config import resolve
from cluster.settings.tree import Settings
from tests.graph.graphs import app_of, client_of


@pytest.fixture(scope="session")
def graph_settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    args = {
        "home": str(tmp_path_factory.mktemp("home")),
        "models": [
            {"id": "echo", "context_length": 512, "engine": {"kind": "scripted"}},
            {"id": "slow/echo", "engine": {"kind": "scripted", "token_delay_s": 0.05, "tokens": 200}},
            {"id": "eye", "engine": {"kind": "scripted", "images": True}},
            {"id": "hash", "engine": {"kind": "hash"}},
        ],
        "documents": {"min_score": 0.05},
        "stores": {"vectors": {"kind": "memory"}},
    }
    return resolve(args, {})


@pytest.fixture(scope="session")
def graph_app(graph_settings: Settings) -> FastAPI:
    return app_of(graph_settings, "graph")


@pytest.fixture
async def graph(graph_app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(graph_app) as client:
        yield client
