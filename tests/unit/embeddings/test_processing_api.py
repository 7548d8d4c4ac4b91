"""`/api/v1/embeddings/process` and `/api/hpc-metrics` over HTTP."""

import base64
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import numpy as np
import pytest
from fastapi import FastAPI

from cluster.stores.chat_metrics import ChatMetricsStore, Step
from cluster.stores.database import open_database
from deployments.clients import Backends
from deployments.gateway import errors
from deployments.gateway.chats import Chats
from deployments.gateway.embedding_processing.desk import Desk
from deployments.gateway.embedding_processing.routes import router
from deployments.gateway.middleware import RequestIds
from deployments.gateway.openai.embeddings import embedding_inputs
from deployments.gateway.principal import LOCAL
from tests.unit.gateway.conftest import LocalEmbedder, client_of, settings_with

PATH = "/api/v1/embeddings/process"
ROWS = [[1.0, 0.0, 0.0], [0.9999, 0.01, 0.0], [0.0, 1.0, 0.0]]


def app(**processing: Any) -> FastAPI:
    settings = settings_with(processing=processing)
    backends = Backends(models={}, embedder=LocalEmbedder())
    inputs = embedding_inputs(backends, settings, Chats(backends, settings))
    app = FastAPI()
    errors.install(app)
    app.include_router(router(Desk(settings, inputs, open_database("sqlite://"))))
    app.add_middleware(RequestIds)
    return app


OF_ALL = app(max_vectors=50, max_dimensions=64)


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(OF_ALL) as opened:
        yield opened


async def test_vectors_are_compared(client: httpx.AsyncClient) -> None:
    answer = await client.post(PATH, json={"chat_id": "a", "embeddings": ROWS})
    assert answer.status_code == 200, answer.text
    told = answer.json()
    assert (told["count"], told["dimensions"], told["device"], told["chunks"]) == (3, 3, "cpu", 1)
    assert told["similarity"]["pairs"] == 3
    assert [(pair["first"], pair["second"]) for pair in told["duplicates"]["pairs"]] == [(0, 1)]
    assert len(told["projection"]["points"]) == 3
    assert "embeddings" not in told


async def test_base64_is_the_same_as_numbers(client: httpx.AsyncClient) -> None:
    packed = [base64.b64encode(np.array(row, dtype="<f4").tobytes()).decode() for row in ROWS]
    numbers = (await client.post(PATH, json={"chat_id": "a", "embeddings": ROWS, "include": ["embeddings"]})).json()
    same = (await client.post(PATH, json={"chat_id": "a", "embeddings": packed, "include": ["embeddings"]})).json()
    assert numbers["embeddings"] == same["embeddings"]
    assert np.allclose(np.linalg.norm(same["embeddings"], axis=1), 1, atol=1e-6)


async def test_texts_are_embedded_first(client: httpx.AsyncClient) -> None:
    body = {"chat_id": "t", "texts": ["one", "two", "one"], "duplicate_threshold": 0.9999}
    told = (await client.post(PATH, json=body)).json()
    assert told["model"]
    assert told["usage"]["total_tokens"] > 0
    assert {name: told["duplicates"]["pairs"][0][name] for name in ("first", "second")} == {"first": 0, "second": 2}


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"chat_id": "", "embeddings": ROWS}, "chat_id"),
        ({"embeddings": ROWS}, "chat_id"),
        ({"chat_id": "a\n", "embeddings": ROWS}, "chat_id"),
        ({"chat_id": "a"}, None),
        ({"chat_id": "a", "embeddings": ROWS, "texts": ["x"]}, None),
        ({"chat_id": "a", "embeddings": []}, "embeddings"),
        ({"chat_id": "a", "embeddings": [[]]}, "embeddings[0]"),
        ({"chat_id": "a", "embeddings": [[1.0], [1.0, 2.0]]}, "embeddings[1]"),
        ({"chat_id": "a", "embeddings": [[1.0], [0.0]]}, "embeddings[1]"),
        ({"chat_id": "a", "embeddings": [[1e39]]}, "embeddings[0]"),
        ({"chat_id": "a", "embeddings": ["AAA"]}, "embeddings[0]"),
        ({"chat_id": "a", "embeddings": ["AADAfw=="]}, "embeddings[0]"),  # NaN
        ({"chat_id": "a", "embeddings": [[1.0] * 65]}, "embeddings[0]"),
        ({"chat_id": "a", "embeddings": [[1.0]] * 51}, "embeddings"),
        ({"chat_id": "a", "texts": ["x"] * 51}, "texts"),
        ({"chat_id": "a", "texts": [""]}, "texts[0]"),
        ({"chat_id": "a", "embeddings": ROWS, "model": "x"}, None),
        ({"chat_id": "a", "texts": ["x"], "model": "x"}, "model"),
        ({"chat_id": "a", "embeddings": ROWS, "chunk_size": 0}, "chunk_size"),
        ({"chat_id": "a", "embeddings": ROWS, "duplicate_threshold": 2}, "duplicate_threshold"),
        ({"chat_id": "a", "embeddings": ROWS, "include": ["all"]}, "include[0]"),
        ({"chat_id": "a", "embeddings": ROWS, "chunks": 1}, "chunks"),
    ],
)
async def test_what_is_wrong_is_named(client: httpx.AsyncClient, body: dict[str, Any], param: str | None) -> None:
    answer = await client.post(PATH, json=body)
    assert answer.status_code in (400, 404), answer.text
    assert answer.json()["error"].get("param") == param, answer.text


async def test_the_metrics_of_a_chat_add_up(client: httpx.AsyncClient) -> None:
    idle = (await client.get("/api/hpc-metrics", params={"chatId": "metrics"})).json()
    assert (idle["status"], idle["processing"]["requests"], idle["updatedAt"]) == ("idle", 0, None)
    for _ in range(2):
        await client.post(PATH, json={"chat_id": "metrics", "embeddings": ROWS})
    await client.post(PATH, json={"chat_id": "metrics", "embeddings": [[0.0]]})
    told = (await client.get("/api/hpc-metrics", params={"chatId": "metrics"})).json()
    processing = told["processing"]
    assert (processing["requests"], processing["failures"], processing["embeddings"]) == (3, 1, 6)
    assert processing["lastMs"] > 0
    assert processing["embeddingsPerSecond"] > 0
    assert 0 < told["memory"]["usedShare"] < 1
    assert told["chatId"] == "metrics"
    every = (await client.get("/api/hpc-metrics")).json()
    assert every["chats"] >= 1
    assert every["processing"]["requests"] >= 3


async def test_an_empty_chat_id_is_refused(client: httpx.AsyncClient) -> None:
    for wrong in ("", "%00", "a%0Ab"):
        assert (await client.get(f"/api/hpc-metrics?chatId={wrong}")).status_code == 400


def test_metrics_are_an_owner_s_own_and_leave_in_time() -> None:
    store = ChatMetricsStore(open_database("sqlite://"))
    store.add("ann", "chat", Step(embeddings=3, chunks=1, chunk_vectors=64, took_ms=5.0))
    store.add("bob", "chat", Step(failed=True))
    assert store.of("ann", "chat").embeddings == 3
    assert (store.of("bob", "chat").requests, store.of("bob", "chat").succeeded) == (1, 0)
    assert store.of(LOCAL.owner, "chat").requests == 0
    assert store.all_of("ann")[0] == 1
    assert store.forget(older_than_s=60) == 0
    assert store.forget(older_than_s=-1) == 2
    assert store.all_of("ann")[0] == 0


async def test_a_slow_processing_and_a_full_memory_are_warned_of() -> None:
    async with client_of(app(warn_ms=1e-6, warn_memory=1e-6)) as client:
        told = (await client.post(PATH, json={"chat_id": "w", "embeddings": ROWS})).json()
        assert {warning["code"] for warning in told["warnings"]} == {"memory_high", "slow"}
        shown = (await client.get("/api/hpc-metrics", params={"chatId": "w"})).json()
        assert shown["status"] == "warning"
        assert json.dumps(shown["warnings"])
