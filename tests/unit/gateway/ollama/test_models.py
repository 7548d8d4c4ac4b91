"""Ollama's view of models: what there is, what is loaded, for how long, and getting and removing them."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from cluster.engines.remote.ollama_model import too_old
from cluster.errors import InvalidApiKey
from cluster.library.manifest import PullProgress
from cluster.library.pulling import Pulling
from cluster.types import LoadedModel
from deployments.clients import Backends, ChatModel
from deployments.gateway import errors
from deployments.gateway.chats import Chats
from deployments.gateway.middleware import RequestIds
from deployments.gateway.models.claims import Claims
from deployments.gateway.models.on_demand import Available, unloaded
from deployments.gateway.models.use import Uses
from deployments.gateway.ollama import pulling
from deployments.gateway.ollama import routes as ollama
from deployments.gateway.openai import routes as openai
from deployments.gateway.surface import take
from tests.unit.gateway.conftest import LocalEmbedder, settings_with
from tests.unit.gateway.models.test_on_demand import Fleet, started
from tests.unit.library import models
from tests.unit.waiting import until

HELLO = [{"role": "user", "content": "one two three"}]


class Shelf(Fleet):
    """What is claimed is loaded; `stays` is the configuration's, `held` pinned."""

    async def claim(self, name: str, holder: str, *, wait_s: float | None = None) -> Any:
        await asyncio.sleep(0.002)
        return await super().claim(name, holder, wait_s=wait_s)

    async def loaded(self) -> tuple[LoadedModel, ...]:
        return tuple(
            replace(one, until=1e9, pinned=one.id == "held", fixed=one.id == "stays")
            for one in await super().loaded()
        )


@asynccontextmanager
async def gateway(tmp_path: Path) -> AsyncIterator[tuple[httpx.AsyncClient, Shelf]]:
    registry = models.write(tmp_path / "registry" / "owner" / "more", models.files()).parents[1]
    hub = {"offline": True, "registry": str(registry), "model_path": str(tmp_path / "hub"), "keep_free_gib": 0}
    fleet = Shelf()
    names = ("big", "held", "stays")
    listed = {
        name: unloaded(name, engine="scripted", context_length=64, images=False, memory_gib=1.0) for name in names
    }
    connected: dict[str, ChatModel] = {name: await started(name) for name in names}
    claims = Claims(fleet, connected.__getitem__, linger_s=0.01)
    available = Available({"echo": await started("echo")}, claims, lambda: listed)
    backends = Backends(models=available, fleet=fleet, embedder=LocalEmbedder())
    settings = settings_with(hub=hub, home=str(tmp_path))
    app, chats = FastAPI(), Chats(backends, settings)
    errors.install(app)
    take(app, ollama.router(backends, settings, chats), openai.router(backends, settings, chats))
    app.add_middleware(Uses)
    app.add_middleware(RequestIds)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://gateway") as client:
        yield client, fleet


async def chat(client: httpx.AsyncClient, model: str = "big", **fields: Any) -> dict[str, Any]:
    body = {"model": model, "messages": HELLO, "stream": False, **fields}
    answer: dict[str, Any] = (await client.post("/api/chat", json=body)).json()
    return answer


async def released(fleet: Fleet) -> object:
    await until(lambda: fleet.asked)
    return fleet.asked.pop()


async def test_keep_alive_and_the_time_of_loading_go_through(tmp_path: Path) -> None:
    async with gateway(tmp_path) as (client, fleet):
        answer = await chat(client, keep_alive="10m")
        assert await released(fleet) == ("release big", 600.0)
        assert answer["load_duration"] >= 2_000_000
        assert answer["prompt_eval_count"] == 3
        body = {"model": "big", "messages": HELLO, "keep_alive": 0}
        assert (await client.post("/api/chat", json=body)).status_code == 200
        assert await released(fleet) == ("release big", 0.0)
        assert await chat(client)
        assert await released(fleet) == ("release big", 300.0)  # the default is back


async def test_openais_routes_take_it_as_a_header_and_name_a_wrong_one(tmp_path: Path) -> None:
    async with gateway(tmp_path) as (client, fleet):
        body = {"model": "big", "messages": HELLO}

        async def ask(said: str) -> httpx.Response:
            headers = {"x-heliostat-keep-alive": said}
            return await client.post("/v1/chat/completions", json=body, headers=headers)

        assert (await ask("-1")).status_code == 200
        assert await released(fleet) == ("release big", -1.0)
        wrong = await ask("a while")
    assert wrong.status_code == 400
    assert wrong.json()["error"]["param"] == "x-heliostat-keep-alive"


async def test_no_prompt_loads_and_no_time_unloads(tmp_path: Path) -> None:
    async with gateway(tmp_path) as (client, fleet):
        loaded = await chat(client, messages=[], keep_alive=60)
        assert (loaded["done_reason"], loaded["message"]["content"]) == ("load", "")
        assert fleet.asked.pop() == ("load big", (None, 60.0))
        gone = await chat(client, messages=[], keep_alive=0)  # it is not loaded: nothing to do
        assert (gone["done_reason"], fleet.asked) == ("unload", [])
        fleet.claimed.append("big")  # by another gateway
        assert (await chat(client, messages=[], keep_alive=0))["done_reason"] == "unload"
        assert fleet.asked.pop() == ("load big", (None, 0))  # kept for no time from its last use on


async def test_one_that_this_gateway_still_holds_is_let_go_of(tmp_path: Path) -> None:
    async with gateway(tmp_path) as (client, fleet):
        await chat(client, keep_alive="10m")
        assert (await chat(client, messages=[], keep_alive=0))["done_reason"] == "unload"
        assert await released(fleet) == ("release big", 0)


@pytest.mark.parametrize("name", ["held", "stays"])
async def test_what_stays_is_not_unloaded(tmp_path: Path, name: str) -> None:
    async with gateway(tmp_path) as (client, fleet):
        fleet.claimed += ["held", "stays"]
        answer = await client.post("/api/generate", json={"model": name, "keep_alive": 0})
    assert answer.status_code == 409
    assert "stays loaded" in answer.json()["error"]


async def test_lists(tmp_path: Path) -> None:
    async with gateway(tmp_path) as (client, _):
        await chat(client)
        tags = {row["name"]: row for row in (await client.get("/api/tags")).json()["models"]}
        running = {row["name"]: row for row in (await client.get("/api/ps")).json()["models"]}
    assert {"echo:latest", "big:latest", "hash:latest", "spark-chat:latest"} <= tags.keys()
    spark = tags["spark-chat:latest"]
    assert spark["size"] > 1_000_000
    assert spark["details"]["format"] == "safetensors"
    assert len(spark["digest"]) == 64
    assert running.keys() == {"big:latest", "echo:latest", "hash:latest"}
    assert running["big:latest"]["expires_at"] == "2001-09-09T01:46:40Z"
    assert running["echo:latest"]["expires_at"].startswith("9999")
    assert (running["big:latest"]["size"], running["big:latest"]["size_vram"]) == (2**29, 0)


async def test_shows(tmp_path: Path) -> None:
    async with gateway(tmp_path) as (client, _):

        async def show(**body: Any) -> httpx.Response:
            return await client.post("/api/show", json=body)

        spark, echo = (await show(model="spark-chat:latest")).json(), (await show(name="echo")).json()
        embedder, unknown = (await show(model="hash")).json(), await show(model="nobody")
        nothing, verbose = await show(), await show(model="echo", verbose=True)
    assert "completion" in spark["capabilities"]
    assert spark["template"]
    family = spark["model_info"]["general.architecture"]
    assert spark["model_info"][f"{family}.context_length"] > 0
    assert "num_ctx" in spark["parameters"]
    assert echo["capabilities"] == ["completion"]
    assert embedder["capabilities"] == ["embedding"]
    assert (unknown.status_code, nothing.status_code, verbose.status_code) == (404, 400, 400)
    assert isinstance(unknown.json()["error"], str)


async def test_a_pull_is_told_and_a_model_is_removed(tmp_path: Path) -> None:
    async with gateway(tmp_path) as (client, fleet):
        answer = await client.post("/api/pull", json={"model": "owner/more:latest"})
        told = [json.loads(line) for line in answer.text.splitlines()]
        again = await client.post("/api/pull", json={"name": "owner/more", "stream": False})
        assert (told[0], told[-1]) == ({"status": "pulling manifest"}, {"status": "success"})
        assert again.json() == {"status": "success"}
        weights = [one for one in told if one.get("total", 0) > 8000]
        assert weights[-1]["completed"] == weights[-1]["total"]
        assert weights[-1]["digest"].startswith("sha256:")

        async def delete(name: str) -> httpx.Response:
            return await client.request("DELETE", "/api/delete", json={"model": name})

        fleet.claimed.append("owner/more")
        refused = await delete("owner/more")
        fleet.claimed.clear()
        done, nothing = await delete("owner/more:latest"), await delete("owner/more")
    assert (refused.status_code, done.status_code, nothing.status_code) == (409, 200, 404)
    assert "loaded" in refused.json()["error"]


async def test_a_pull_that_fails_says_so_in_its_last_line(tmp_path: Path) -> None:
    async with gateway(tmp_path) as (client, _):
        away = await client.post("/api/pull", json={"model": "owner/nothing"})
        odd = await client.post("/api/pull", json={"model": "../etc"})
        insecure = await client.post("/api/pull", json={"model": "a", "insecure": True})
    assert (odd.status_code, insecure.status_code) == (400, 400)
    assert "offline" in away.text.splitlines()[-1]
    assert "error" in json.loads(away.text.splitlines()[-1])


async def test_a_pull_ends_with_who_waits_for_it() -> None:
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()

    def endless() -> Pulling:
        try:
            while True:
                yield PullProgress(status="waiting", model="m", note="again in 1 s")
        finally:
            loop.call_soon_threadsafe(ended.set)

    told = pulling.lines(endless())
    assert json.loads(await anext(told)) == {"status": "again in 1 s"}
    await told.aclose()
    await asyncio.wait_for(ended.wait(), 20)


async def test_embeddings_both_ways(tmp_path: Path) -> None:
    async with gateway(tmp_path) as (client, _):

        async def embed(**fields: Any) -> httpx.Response:
            return await client.post("/api/embed", json={"model": "hash", **fields})

        two, none = (await embed(input=["a b", "c"])).json(), (await embed(input="")).json()
        one = (await client.post("/api/embeddings", json={"model": "hash:latest", "prompt": "a b"})).json()
        refused = [
            await embed(input="a", options={"temperature": 1}),
            await embed(input="a", dimensions=8),
            await embed(input=["a", ""]),
            await client.post("/api/embed", json={"model": "echo", "input": "a"}),
        ]
    assert [len(vector) for vector in two["embeddings"]] == [16, 16]
    assert (two["prompt_eval_count"], two["model"]) == (3, "hash")
    assert two["total_duration"] > 0
    assert one["embedding"] == two["embeddings"][0]
    assert none["embeddings"] == []
    assert [answer.status_code for answer in refused] == [400] * 4
    named = ("options.temperature", "dimensions", "input[1]", "model")
    assert all(name in answer.json()["error"] for name, answer in zip(named, refused, strict=True))


async def test_it_says_which_ollama_it_speaks(tmp_path: Path) -> None:
    async with gateway(tmp_path) as (client, _):
        version = (await client.get("/api/version")).json()["version"]
        assert not too_old(version)  # for our own engine that asks Ollama servers
        push = await client.post("/api/push", json={})
    assert push.status_code == 404
    assert isinstance(push.json()["error"], str)


def test_a_refusal_before_any_route_has_its_shape_too() -> None:
    refused = errors.respond(InvalidApiKey("Who are you?"), "/api/chat")
    assert (refused.status_code, refused.body) == (401, b'{"error": "Who are you?"}')
