"""A gateway with vector stores over shelves, and OpenAI's own clients of it."""

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import openai
import pytest

from deployments.gateway.openai import files
from deployments.gateway.openai.vector_stores import routes
from deployments.gateway.openai.vector_stores.desk import Desk
from deployments.gateway.surface import take
from tests.unit.gateway.documents.shelf import Api, api_at
from tests.unit.gateway.documents.vector_stores.weather import Clients


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[Api]:
    async with api_at(tmp_path) as api:
        desk = Desk(api.retriever, api.settings, api.engine, api.collections, api.jobs)
        take(api.app, files.router(api.settings, api.engine, desk.forget_file), routes.router(desk))
        yield api


@pytest.fixture
def client(api: Api) -> Clients:
    http = httpx.AsyncClient(transport=httpx.ASGITransport(api.app, raise_app_exceptions=False))

    def of(who: str) -> openai.AsyncOpenAI:
        return openai.AsyncOpenAI(
            base_url="http://test/v1",
            api_key="k",
            max_retries=0,
            http_client=http,
            default_headers={"x-key": who},
        )

    return of


@pytest.fixture
def ann(client: Clients) -> openai.AsyncOpenAI:
    return client("ann")
