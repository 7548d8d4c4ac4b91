"""Texts that a database may refuse, sent through the API: stored as they are, or refused in so many words."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from deployments.clients import Backends
from deployments.gateway.app import build_app
from tests.unit.gateway.conftest import LocalEmbedder, client_of, settings_with, started

STRANGE = "a\0b \U0001f600 \u2028 \ufffe ' \" \\ %s :x"


@pytest.fixture
async def api(shared_url: str, tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    settings = settings_with(stores={"database": shared_url}, home=str(tmp_path))
    backends = Backends(models={"echo": await started()}, embedder=LocalEmbedder())
    app = build_app(backends, settings)
    async with app.router.lifespan_context(app), client_of(app) as client:
        yield client


async def test_a_question_with_a_nul_is_stored_as_it_is(api: httpx.AsyncClient) -> None:
    conversation = (await api.post("/api/v1/conversations", json={})).json()["id"]
    path = f"/api/v1/conversations/{conversation}/messages"
    answer = await api.post(path, json={"content": STRANGE, "stream": False})
    assert answer.status_code == 200, answer.text
    found = (await api.get(path)).json()["messages"]
    assert found[0]["content"] == STRANGE
    assert "\0" not in (await api.get(f"/api/v1/conversations/{conversation}")).json()["title"]


async def test_a_response_with_a_nul_is_stored_as_it_is(api: httpx.AsyncClient) -> None:
    made = await api.post("/v1/responses", json={"model": "echo", "input": STRANGE, "metadata": {"k": STRANGE}})
    assert made.status_code == 200, made.text
    identity = made.json()["id"]
    assert (await api.get(f"/v1/responses/{identity}")).json() == made.json()
    item = (await api.get(f"/v1/responses/{identity}/input_items")).json()["data"][0]
    assert item["content"][0]["text"] == STRANGE
    onwards = {"model": "echo", "input": "and?", "previous_response_id": identity}
    assert (await api.post("/v1/responses", json=onwards)).status_code == 200


async def test_a_very_long_text_is_stored(api: httpx.AsyncClient) -> None:
    text = "\U0001f600 wörd " * 60_000
    made = await api.post("/api/v1/conversations", json={"systemPrompt": text})
    assert made.status_code == 201, made.text
    assert (await api.get(f"/api/v1/conversations/{made.json()['id']}")).json()["systemPrompt"] == text


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/api/v1/conversations", {"title": "a\0b"}),
        ("/api/v1/conversations", {"metadata": {"k": "\0"}}),
        ("/api/experiments/batch", {"name": "\0", "model": "echo", "prompt": "x", "parameter_ranges": {}}),
    ],
)
async def test_a_nul_where_it_cannot_be_stored_is_refused(api: httpx.AsyncClient, path: str, body: Any) -> None:
    answer = await api.post(path, json=body)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "invalid_request"), answer.text


@pytest.mark.parametrize(
    "path",
    [
        "/api/v1/conversations/%00",
        "/api/v1/stream-sessions/a%00b",
        "/v1/files/%00",
        "/v1/files?after=%00",
        "/v1/batches/%00",
        "/v1/batches?after=a%00",
        "/v1/responses/%00",
        "/v1/responses/resp_%00",
        f"/v1/responses/{'x' * 128}",
        "/v1/files/" + "\U0001f600" * 300,
    ],
)
async def test_an_id_that_no_database_could_hold_is_nobodys(api: httpx.AsyncClient, path: str) -> None:
    answer = await api.get(path)
    assert answer.status_code in {400, 404}, answer.text
