"""Models that look as if they were always there."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest
from fastapi import FastAPI

from cluster.engines.scripted import ScriptedEngine
from cluster.settings.engines import ScriptedSettings
from cluster.types import Claim, LoadedModel, ModelCard, ModelEvent, ModelState, Using
from deployments.clients import Backends, ChatModel
from deployments.gateway.app import build_app
from deployments.gateway.models.claims import Claims
from deployments.gateway.models.on_demand import Available, unloaded
from tests.unit.gateway.conftest import LocalModel, settings_with

HELLO = {"messages": [{"role": "user", "content": "one two three"}]}


class Fleet:
    """A manager that has everything loaded at once."""

    def __init__(self) -> None:
        self.claimed: list[str] = []
        self.asked: list[tuple[str, object]] = []

    async def claim(self, name: str, holder: str, *, wait_s: float | None = None) -> Claim:
        self.claimed.append(name)
        return Claim(application=name, load="1", lease_s=15.0)

    async def renew(self, uses: tuple[Using, ...]) -> tuple[str, ...]:
        return ()

    async def release(self, name: str, holder: str, *, keep_alive_s: float | None) -> None:
        self.asked.append((f"release {name}", keep_alive_s))

    async def load(self, name: str, *, pin: bool | None, keep_alive_s: float | None) -> LoadedModel:
        self.asked.append((f"load {name}", (pin, keep_alive_s)))
        return row(name)

    async def unload(self, name: str, *, force: bool) -> None:
        self.asked.append((f"unload {name}", force))

    async def loaded(self) -> tuple[LoadedModel, ...]:
        return tuple(row(name) for name in dict.fromkeys(self.claimed))

    async def changed(self, after: int, timeout_s: float) -> tuple[ModelEvent, ...]:
        return tuple(
            ModelEvent(number=number, at=1.0, model="big", what="ready") for number in range(after + 1, after + 3)
        )


def row(name: str) -> LoadedModel:
    return LoadedModel(
        id=name, state=ModelState.READY, engine="scripted", device="cpu", replicas=1, memory_gib=0.5, in_use=0,
        waiting=0, pinned=False, fixed=False, used_at=1.0, until=None, load_s=2.0,
    )  # fmt: skip


async def started(name: str) -> LocalModel:
    engine = ScriptedEngine(ScriptedSettings(), name)
    await engine.start()
    return LocalModel(engine)


@asynccontextmanager
async def gateway() -> AsyncIterator[tuple[httpx.AsyncClient, Fleet, dict[str, ModelCard]]]:
    fleet, big = Fleet(), await started("big")
    card = unloaded("big", engine="scripted", context_length=64, images=False, memory_gib=1.0)
    listed = {"big": card, "org/Big-Model": card}
    clock = iter(range(10**6))
    connected: dict[str, ChatModel] = {"big": big}
    claims = Claims(fleet, connected.__getitem__, linger_s=5.0)
    models = Available(
        {"echo": await started("echo")}, claims, lambda: dict(listed), clock=lambda: float(next(clock))
    )
    app: FastAPI = build_app(Backends(models=models, fleet=fleet), settings_with())
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://gateway") as client:
        yield client, fleet, listed


async def test_a_request_for_a_model_that_is_not_loaded_claims_it() -> None:
    async with gateway() as (client, fleet, _):
        answer = await client.post("/v1/chat/completions", json={"model": "big", **HELLO})
        assert (answer.status_code, answer.json()["model"]) == (200, "big")
        assert fleet.claimed == ["big"]


async def test_an_alias_is_the_model_by_its_own_name() -> None:
    async with gateway() as (client, fleet, _):
        answer = await client.post("/v1/chat/completions", json={"model": "org/Big-Model", **HELLO})
        assert (answer.status_code, answer.json()["model"]) == (200, "big")
        streamed = await client.post(
            "/v1/chat/completions", json={"model": "org/Big-Model", "stream": True, **HELLO}
        )
        first = json.loads(streamed.text.split("\n\n")[0].removeprefix("data: "))
        assert first["model"] == "big"
        assert fleet.claimed == ["big"]


async def test_listing_and_showing_load_nothing() -> None:
    async with gateway() as (client, fleet, _):
        listed = await client.get("/v1/models")
        assert [model["id"] for model in listed.json()["data"]] == ["echo", "big", "auto"]
        shown = await client.get("/v1/models/org/Big-Model")
        assert (shown.json()["id"], shown.json()["max_model_len"]) == ("big", 64)
        states = {model["id"]: model["state"] for model in (await client.get("/api/v1/models")).json()["data"]}
        assert states == {"big": "unloaded"}
        assert fleet.claimed == []


async def test_a_model_pulled_a_moment_ago_is_found() -> None:
    async with gateway() as (client, _, listed):
        unknown = await client.post("/v1/chat/completions", json={"model": "new", **HELLO})
        assert (unknown.status_code, unknown.json()["error"]["code"]) == (404, "model_not_found")
        listed["new"] = listed["big"]
        assert (await client.post("/v1/chat/completions", json={"model": "new", **HELLO})).status_code == 200


async def test_load_and_unload_reach_the_fleet_by_its_own_name() -> None:
    async with gateway() as (client, fleet, _):
        loaded = await client.post("/api/v1/models/org/Big-Model/load", json={"pin": True, "keep_alive": "10m"})
        assert (loaded.status_code, loaded.json()["state"], loaded.json()["load_s"]) == (200, "ready", 2.0)
        assert (await client.post("/api/v1/models/big/load")).status_code == 200
        assert (await client.post("/api/v1/models/big/unload", json={"force": True})).status_code == 200
        assert fleet.asked == [("load big", (True, 600.0)), ("load big", (None, None)), ("unload big", True)]


@pytest.mark.parametrize(
    ("path", "body", "status", "param"),
    [
        ("/api/v1/models/nothing/load", {}, 404, "model_id"),
        ("/api/v1/models/bigg/unload", {}, 404, "model_id"),
        ("/api/v1/models/big/load", {"keep_alive": "soon"}, 400, "keep_alive"),
        ("/api/v1/models/big/load", {"forever": True}, 400, "forever"),
        ("/api/v1/models/big/unload", {"force": "yes"}, 400, "force"),
    ],
)
async def test_bad_requests_say_what_is_wrong(path: str, body: dict[str, object], status: int, param: str) -> None:
    async with gateway() as (client, fleet, _):
        refused = await client.post(path, json=body)
        assert (refused.status_code, refused.json()["error"]["param"]) == (status, param)
        assert fleet.asked == []


async def test_a_near_name_is_offered() -> None:
    async with gateway() as (client, _, _listed):
        refused = await client.post("/api/v1/models/bigg/load")
        assert "big" in str(refused.json()["error"])
