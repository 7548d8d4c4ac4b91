"""People, their limits and what is theirs, through the whole graph."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import Engine

from cluster.config import resolve
from cluster.settings.tree import Settings
from cluster.stores.accounts import Accounts, Bounds, Changes
from cluster.stores.api_keys import ApiKeys, Rights, new_secret
from cluster.stores.database import open_database
from tests.graph.graphs import app_of, client_of

CHAT = "/v1/chat/completions"
HELLO = {"model": "echo", "messages": [{"role": "user", "content": "one two three"}]}
SWEEP = {"name": "s", "prompt": "hi", "model": "echo", "parameter_ranges": {"temperature": [0.0, 1.0]}}


@dataclass
class Town:
    engine: Engine
    client: httpx.AsyncClient

    def person(self, name: str, **bounds: int) -> str:
        accounts = Accounts(self.engine)
        account = accounts.create(name=name, password_hash="none", role="user")
        accounts.change(account.id, Changes(bounds=Bounds(**bounds)))  # type: ignore[arg-type]  # no models
        return account.id

    def key(self, owner: str, role: str = "user") -> dict[str, str]:
        secret = new_secret()
        ApiKeys(self.engine).create(secret, name="k", owner=owner, rights=Rights(role=role))
        return {"authorization": f"Bearer {secret}"}


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    args = {
        "home": str(tmp_path),
        "models": [
            {"id": "echo", "engine": {"kind": "scripted"}},
            {"id": "slow", "engine": {"kind": "scripted", "token_delay_s": 0.05, "tokens": 600}},
            {"id": "hash", "engine": {"kind": "hash"}},
        ],
        "auth": {"mode": "on", "believed_s": 0},
        "stores": {"vectors": {"kind": "memory"}},
    }
    return resolve(args, {})


@pytest.fixture
def app(settings: Settings) -> FastAPI:
    return app_of(settings, "town")


@pytest.fixture
async def town(settings: Settings, app: FastAPI) -> AsyncIterator[Town]:
    engine = open_database(settings.database_url)
    async with client_of(app, host="127.0.0.1") as client:
        yield Town(engine, client)
    engine.dispose()


async def test_all_keys_of_a_person_share_the_persons_limit(town: Town) -> None:
    ann = town.person("ann", requests_per_minute=2)
    keys = [town.key(ann) for _ in range(3)]
    answers = [await town.client.post(CHAT, json=HELLO, headers=key) for key in keys]
    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert answers[0].headers["x-ratelimit-limit-requests"] == "2"
    assert int(answers[2].headers["retry-after"]) >= 1
    body = {"model": "echo", "prompt": "one"}
    assert (await town.client.post("/tokenize", json=body, headers=keys[0])).status_code == 429
    other = await town.client.post(CHAT, json=HELLO, headers=town.key("local"))
    assert (other.status_code, "x-ratelimit-limit-requests" in other.headers) == (200, False)


async def test_experiments_and_documents_are_their_owners_to_end(town: Town) -> None:
    ann, bob, root = town.key("ann"), town.key("bob"), town.key("root", role="admin")
    made = (await town.client.post("/api/experiments/batch", json=SWEEP, headers=ann)).json()
    stored = await town.client.post("/api/v1/documents", files={"file": ("a.txt", b"Snow falls.")}, headers=ann)
    experiment, document = f"/api/experiments/batch/{made['id']}", f"/api/v1/documents/{stored.json()['id']}"
    assert (await town.client.get(experiment, headers=bob)).status_code == 404
    assert (await town.client.get("/api/experiments/batch", headers=bob)).json()["total"] == 0
    assert (await town.client.get(document, headers=bob)).status_code == 200
    assert [(await town.client.delete(path, headers=bob)).status_code for path in (experiment, document)] == [
        404,
        403,
    ]
    assert (await town.client.get(experiment, headers=root)).status_code == 200
    assert [(await town.client.delete(path, headers=ann)).status_code for path in (experiment, document)] == [
        200,
        200,
    ]


async def test_a_stream_ends_soon_after_its_key(town: Town) -> None:
    key = town.key("ann")
    body = {**HELLO, "model": "slow", "stream": True}
    asked = asyncio.create_task(town.client.post(CHAT, json=body, headers=key))
    await asyncio.sleep(1)
    began = asyncio.get_running_loop().time()
    ApiKeys(town.engine).revoke(ApiKeys(town.engine).list()[0].id)
    last = (await asked).text.strip().split("\n\n")[-1]
    assert asyncio.get_running_loop().time() - began < 10
    assert json.loads(last.removeprefix("data: "))["error"]["code"] == "invalid_api_key"
