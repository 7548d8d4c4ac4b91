"""Models that run elsewhere, from a config's lines to a client: gateway, replica, a real HTTP server behind."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from cluster.config import resolve
from tests.graph.graphs import app_of, client_of
from tests.unit.engines.remote import fake_ollama, fake_openai
from tests.unit.engines.remote.fake_openai import FakeOpenAI, sse
from tests.unit.engines.remote.server_thread import served
from tests.unit.engines.remote.tiny_server import Request, Response, TinyServer, as_json

HELLO = [{"role": "user", "content": "hello from afar"}]
KEY = "sk-graph"


class Switched:
    """The fake provider, which a prompt can make fail."""

    def __init__(self) -> None:
        self.fake = FakeOpenAI(key=KEY)
        self.started = False

    async def __call__(self, request: Request) -> Response:
        if not self.started:
            self.started = True
            await self.fake.start()
        said = request.json["messages"][-1]["content"] if request.path.endswith("completions") else ""
        if said == "refuse our key":
            return as_json({"error": {"message": "Incorrect API key provided"}}, 401)
        if said == "be busy":
            return as_json({"error": {"message": "slow down"}}, 429, retry_after="7")
        if said == "die":
            opening = {"choices": [{"index": 0, "delta": {"content": "to"}}]}
            return Response(body=_one(sse(opening)), media_type="text/event-stream", cut=True)
        return await self.fake(request)


async def _one(piece: bytes) -> AsyncIterator[bytes]:
    yield piece
    await asyncio.sleep(0.05)


class StartedOllama(fake_ollama.FakeOllama):
    async def __call__(self, request: Request) -> Response:
        await self.engine.start()
        return await super().__call__(request)


@pytest.fixture(scope="module")
def providers() -> Iterator[tuple[TinyServer, TinyServer]]:
    with served(Switched()) as openai, served(StartedOllama()) as ollama:
        yield openai, ollama


@pytest.fixture(scope="module")
def app(providers: tuple[TinyServer, TinyServer], tmp_path_factory: pytest.TempPathFactory) -> Iterator[FastAPI]:
    openai, ollama = (server.url for server in providers)
    endpoint = {
        "kind": "openai",
        "base_url": f"{openai}/v1",
        "model": fake_openai.REMOTE,
        "api_key_env": "GRAPH_KEY",
    }
    args = {
        "home": str(tmp_path_factory.mktemp("remote")),
        "models": [
            {"id": "gpt", "engine": endpoint},
            {"id": "llama", "engine": {"kind": "ollama", "url": ollama, "model": fake_ollama.REMOTE}},
            {"id": "gone", "engine": {"kind": "ollama", "url": "http://127.0.0.1:1", "model": "x"}},
            {"id": "vectors", "task": "embedding", "engine": endpoint},
        ],
        "stores": {"vectors": {"kind": "memory"}},
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GRAPH_KEY", KEY)
        yield app_of(resolve(args, {}), "remote")


@pytest.fixture
async def client(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(app) as client:
        yield client


async def asked(client: httpx.AsyncClient, text: str = "", **fields: Any) -> httpx.Response:
    messages = [{"role": "user", "content": text}] if text else HELLO
    return await client.post("/v1/chat/completions", json={"model": "gpt", "messages": messages, **fields})


@pytest.mark.parametrize("model", ["gpt", "llama"])
async def test_a_remote_model_answers_like_any_other(client: httpx.AsyncClient, model: str) -> None:
    whole = (await asked(client, model=model, temperature=0)).json()
    assert (whole["model"], whole["choices"][0]["message"]["content"]) == (model, "hello from afar")
    streamed = await asked(client, model=model, temperature=0, stream=True)
    events = [event.removeprefix("data: ") for event in streamed.text.split("\n\n") if event]
    assert events[-1] == "[DONE]"
    deltas = [json.loads(event)["choices"][0]["delta"].get("content") or "" for event in events[:-1]]
    assert "".join(deltas) == "hello from afar"


async def test_a_wrong_key_of_ours_is_not_the_clients(client: httpx.AsyncClient) -> None:
    found = await asked(client, "refuse our key")
    assert (found.status_code, found.json()["error"]["code"]) == (502, "provider_refused")
    assert found.headers["x-should-retry"] == "false"
    assert "www-authenticate" not in found.headers


async def test_a_busy_providers_wait_reaches_the_client(client: httpx.AsyncClient) -> None:
    found = await asked(client, "be busy")
    assert (found.status_code, found.headers["retry-after"]) == (429, "7")


async def test_a_stream_that_dies_there_ends_with_an_error_here(client: httpx.AsyncClient) -> None:
    found = await asked(client, "die", stream=True)
    *_, last, _ = found.text.split("\n\n")
    assert json.loads(last.removeprefix("data: "))["error"]["code"] == "provider_error"
    assert "[DONE]" not in found.text


async def test_a_request_that_it_refuses_is_told_by_name(client: httpx.AsyncClient) -> None:
    found = await asked(client, logprobs=True)
    error = found.json()["error"]
    assert (found.status_code, error["code"], error["param"]) == (400, "unsupported_parameter", "logprobs")


async def test_a_provider_that_is_away_keeps_nothing_from_starting(client: httpx.AsyncClient) -> None:
    health = (await client.get("/health")).json()
    assert (health["services"]["gone"], health["services"]["gpt"]) == ("provider_unavailable", "running")
    assert health["status"] == "degraded"
    found = await asked(client, model="gone")
    assert (found.status_code, found.json()["error"]["code"]) == (503, "provider_unavailable")


async def test_models_are_listed_with_what_their_providers_say(client: httpx.AsyncClient) -> None:
    listed = {one["id"]: one for one in (await client.get("/v1/models")).json()["data"]}
    assert listed["gpt"]["max_model_len"] == fake_openai.CONTEXT
    assert listed["llama"]["revision"] == fake_ollama.DIGEST[:12]
    assert listed["vectors"]["capabilities"] == ["embedding"]


async def test_embeddings_come_from_afar_and_documents_do_not(client: httpx.AsyncClient) -> None:
    body = {"model": "vectors", "input": ["sun", "the mirror"]}
    found = (await client.post("/v1/embeddings", json=body)).json()
    assert [len(one["embedding"]) for one in found["data"]] == [3, 3]
    assert found["usage"]["total_tokens"] == 3
    file = {"file": ("a.txt", b"The sun is a star.", "text/plain")}
    refused = await client.post("/api/v1/documents", files=file)
    assert refused.status_code == 400
    assert "cuts no documents" in refused.text
