"""`auto` over the whole graph: two scripted engines, one of which sees, and a provider with a list."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx
import pytest
import pytest_asyncio
from fastapi import FastAPI
from ray import serve

from cluster.config import resolve
from deployments.app import build
from tests.unit.engines.pictures import encoded, plain, url
from tests.unit.engines.remote.fake_openai import REMOTE, FakeOpenAI
from tests.unit.engines.remote.server_thread import served
from tests.unit.engines.remote.tiny_server import Request, Response

pytestmark = pytest.mark.asyncio(loop_scope="module")

CHAT = "/v1/chat/completions"
WORDS = [{"role": "user", "content": "one two three"}]
PICTURE = [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": url(encoded(plain()))}}]}]


class Started(FakeOpenAI):
    async def __call__(self, request: Request) -> Response:
        await self.engine.start()
        return await super().__call__(request)


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FastAPI]:
    with served(Started()) as far:
        args = {
            "home": str(tmp_path_factory.mktemp("auto")),
            "models": [
                {"id": "words", "engine": {"kind": "scripted"}},
                {"id": "eye", "engine": {"kind": "scripted", "images": True}},
            ],
            "providers": [{"id": "far", "kind": "openai", "base_url": f"{far.url}/v1"}],
        }
        handle = serve.run(build(resolve(args, {})), name="auto", _local_testing_mode=True)
        yield handle.asgi.remote().result()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def client(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://graph", timeout=30) as client:
        yield client


async def ask(client: httpx.AsyncClient, messages: list[dict[str, Any]], **more: Any) -> httpx.Response:
    return await client.post(CHAT, json={"model": "auto", "messages": messages, **more})


async def test_it_picks_by_what_a_request_shows(client: httpx.AsyncClient) -> None:
    said = await ask(client, WORDS)
    assert (said.status_code, said.json()["model"]) == (200, "words")
    assert said.headers["x-heliostat-route"] == "auto -> words; reason=task"
    seen = await ask(client, PICTURE)
    assert (seen.status_code, seen.json()["model"]) == (200, "eye")
    streamed = await ask(client, PICTURE, stream=True)
    assert '"model":"eye"' in streamed.text.replace(" ", "")
    assert streamed.text.endswith("data: [DONE]\n\n")


async def test_each_choice_is_an_event_with_all_that_was_passed_over(client: httpx.AsyncClient) -> None:
    await ask(client, PICTURE)
    events = (await client.get("/api/v1/events?kind=route&limit=1")).json()["data"]
    [event] = events
    assert (event["model"], event["reason"]) == ("eye", "auto")
    assert [one["passed_over"] for one in event["inputs"]["candidates"]] == ["it sees no pictures", None]


async def test_a_provider_that_is_switched_to_answers(client: httpx.AsyncClient) -> None:
    for _ in range(400):  # its list comes in the background
        if (await client.get("/health")).json()["providers"]["far"]["status"] == "running":
            break
        await asyncio.sleep(0.05)
    switched = await client.post("/api/llm/provider/switch", json={"provider": "far", "model": REMOTE})
    assert switched.status_code == 200, switched.text
    assert (await ask(client, WORDS)).json()["model"] == f"far/{REMOTE}"
    generated = (await client.post("/api/v1/models/generate", json={"prompt": "one"})).json()
    assert (generated["model"], generated["provider"]) == (f"far/{REMOTE}", "far")
    await client.post("/api/llm/provider/switch", json={"provider": "auto"})
    assert (await ask(client, WORDS)).json()["model"] == "words"
