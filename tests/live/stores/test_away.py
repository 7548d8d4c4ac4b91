"""A database that stops in mid-life: what needs it says so, the rest goes on, and all is well once it is back."""

import asyncio
import gc
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import Engine

from cluster.errors import DatabaseAway, SettingsError
from cluster.settings.tree import Settings
from cluster.stores.api_keys import ApiKeys, Rights, new_secret
from cluster.stores.database import open_database
from cluster.stores.experiments import Experiments
from deployments.clients import Backends
from deployments.gateway.app import build_app
from tests.postgresql import Server
from tests.unit.gateway.conftest import LocalEmbedder, client_of, settings_with, started

CHAT = {"model": "echo", "messages": [{"role": "user", "content": "one two three"}]}
NEEDY: list[tuple[str, str, Any]] = [
    ("GET", "/api/v1/conversations", None),
    ("POST", "/api/v1/conversations", {}),
    ("GET", "/api/v1/stream-sessions", None),
    ("GET", "/v1/files", None),
    ("GET", "/v1/batches", None),
    ("GET", "/v1/responses/resp_1", None),
    ("POST", "/v1/responses", {"model": "echo", "input": "x"}),
    ("GET", "/api/experiments/batch", None),
]


# pg8000 leaves the socket of a connection that was refused or broken to the garbage collector.
pytestmark = pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")


@pytest.fixture(autouse=True)
def sockets_are_collected_here() -> Iterator[None]:
    yield
    gc.collect()


@pytest.fixture
def settings(shared_url: str, tmp_path: Path) -> Settings:
    return settings_with(stores={"database": shared_url}, home=str(tmp_path), conversations={"flush_ms": 20})


@asynccontextmanager
async def gateway(settings: Settings, **script: Any) -> AsyncIterator[httpx.AsyncClient]:
    backends = Backends(models={"echo": await started(**script)}, embedder=LocalEmbedder())
    app = build_app(backends, settings)
    async with app.router.lifespan_context(app), client_of(app) as client:
        yield client


def refused(answer: httpx.Response, code: str = "database_unavailable") -> bool:
    return (answer.status_code, answer.json()["error"]["code"], answer.headers["retry-after"]) == (503, code, "1")


async def test_what_needs_the_database_gets_503_until_it_is_back(server: Server, settings: Settings) -> None:
    async with gateway(settings) as client:
        made = (await client.post("/api/v1/conversations", json={"title": "t"})).json()
        server.stop()
        try:
            for method, path, body in NEEDY:
                answer = await client.request(method, path, json=body)
                assert refused(answer), (method, path, answer.text)
            keyed = await client.post("/v1/chat/completions", json=CHAT, headers={"idempotency-key": "k"})
            assert refused(keyed, "unavailable")
            assert (await client.post("/v1/chat/completions", json=CHAT)).status_code == 200
        finally:
            server.start()
        assert (await client.get(f"/api/v1/conversations/{made['id']}")).json() == made


async def test_a_gateway_that_starts_without_its_database_finds_it_later(
    server: Server, settings: Settings
) -> None:
    async with gateway(settings) as client:
        server.stop()
        try:
            assert refused(await client.get("/api/v1/conversations"))
        finally:
            server.start()
        assert (await client.get("/api/v1/conversations")).json()["total"] == 0


async def test_whom_a_key_belongs_to_cannot_be_said_without_the_database(
    server: Server, settings: Settings, database: Engine
) -> None:
    secret = new_secret()
    ApiKeys(database).create(secret, name="k", owner="ann", rights=Rights(role="user"))
    with_keys = settings.model_copy(update={"auth": settings.auth.model_copy(update={"mode": "on"})})
    headers = {"authorization": f"Bearer {secret}"}
    async with gateway(with_keys) as client:
        server.stop()
        try:
            answer = await client.get("/v1/models", headers=headers)
            assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
        finally:
            server.start()
        assert (await client.get("/v1/models", headers=headers)).status_code == 200


async def test_an_answer_on_its_way_outlives_a_restart(server: Server, settings: Settings) -> None:
    words = " ".join(f"w{number}" for number in range(40))
    async with gateway(settings, token_delay_s=0.02) as client:
        conversation = (await client.post("/api/v1/conversations", json={})).json()["id"]
        path = f"/api/v1/conversations/{conversation}/messages"
        asked = asyncio.create_task(client.post(path, json={"content": words, "stream": False}))
        while not (await client.get("/api/v1/stream-sessions?status=active")).json()["total"]:  # noqa: ASYNC110
            await asyncio.sleep(0.02)
        await asyncio.to_thread(server.stop)
        await asyncio.to_thread(server.start)
        assert (await asked).status_code == 200, asked.result().text
        question, answer = (await client.get(path)).json()["messages"]
        assert (answer["status"], answer["content"]) == ("completed", asked.result().json()["message"]["content"])
        assert question["content"] == words


def test_connections_of_a_server_that_was_started_anew_are_replaced(server: Server, database: Engine) -> None:
    experiments = Experiments(database)
    made = experiments.create(name="n", description="", spec='{"models": ["m"]}', run_id="r", total=1)
    server.stop()
    with pytest.raises(DatabaseAway):
        experiments.get(made.id)
    server.start()
    assert experiments.get(made.id) == made
    server.stop()
    server.start()
    assert experiments.get(made.id) == made, "nobody noticed the second time"


def test_a_command_says_why_it_cannot_reach_the_database(server: Server, shared_url: str) -> None:
    with pytest.raises(SettingsError, match=r"/nowhere cannot be opened: .*nowhere"):
        open_database(shared_url.rpartition("/")[0] + "/nowhere")
