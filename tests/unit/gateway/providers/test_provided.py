"""Models of providers beside our own: listed, asked by name, and away without harm."""

import json
from time import monotonic
from typing import Any

import pytest

from cluster.errors import EngineDead, HeliostatError
from tests.unit.engines.remote.fake_openai import CONTEXT
from tests.unit.gateway.providers.conftest import FULL, House, house

pytestmark = pytest.mark.asyncio(loop_scope="module")
CHAT: dict[str, Any] = {"messages": [{"role": "user", "content": "one two three"}]}


async def listed(home: House) -> dict[str, Any]:
    return {one["id"]: one for one in (await home.client.get("/v1/models")).json()["data"]}


async def test_all_that_the_provider_lists_is_listed_and_may_be_asked_by_name() -> None:
    async with house() as home:
        assert set(await listed(home)) == {"echo", "hash", "auto"}
        await home.known()
        found = await listed(home)
        assert list(found) == ["echo", "hash", FULL, "far/text-embed", "far/other", "auto"]
        assert (found[FULL]["max_model_len"], found[FULL]["engine"]) == (CONTEXT, "openai")
        assert found["far/text-embed"]["task"] == "embedding"
        answer = await home.client.post("/v1/chat/completions", json={"model": FULL, **CHAT})
        assert (answer.status_code, answer.json()["model"]) == (200, FULL)
        streamed = await home.client.post("/v1/chat/completions", json={"model": FULL, **CHAT, "stream": True})
        assert json.loads(streamed.text.split("\n\n")[0].removeprefix("data: "))["model"] == FULL
        assert (await home.client.get(f"/v1/models/{FULL}")).json()["id"] == FULL


async def test_its_embedding_models_embed_and_do_not_chat(home: House) -> None:
    answer = await home.client.post("/v1/embeddings", json={"model": "far/text-embed", "input": ["a", "b"]})
    assert (answer.status_code, answer.json()["model"], len(answer.json()["data"])) == (
        200,
        "far/text-embed",
        2,
    )
    refused = await home.client.post("/v1/chat/completions", json={"model": "far/text-embed", **CHAT})
    assert (refused.status_code, refused.json()["error"]["param"]) == (400, "model")
    chats = await home.client.post("/v1/embeddings", json={"model": FULL, "input": "a"})
    assert chats.status_code == 400


async def test_what_it_does_not_list_is_not_found(home: House) -> None:
    for name in ("far/nope", "far/", "near/x"):
        answer = await home.client.post("/v1/chat/completions", json={"model": name, **CHAT})
        assert (answer.status_code, answer.json()["error"]["code"]) == (404, "model_not_found"), name


async def test_before_it_has_said_what_it_has_its_models_are_away_not_unknown() -> None:
    async with house(offer={"api_key_env": "NO_SUCH_KEY"}) as home:
        answer = await home.client.post("/v1/chat/completions", json={"model": "far/any", **CHAT})
        error = answer.json()["error"]
        assert (answer.status_code, error["code"]) == (503, "provider_unavailable")
        assert "NO_SUCH_KEY" in error["message"]


async def test_a_provider_that_is_away_breaks_nothing_and_says_why() -> None:
    async with house(offer={"base_url": "http://127.0.0.1:1/v1", "models": ["*", "named"]}) as home:
        began = monotonic()
        assert set(await listed(home)) == {"echo", "hash", "far/named", "auto"}
        assert monotonic() - began < 3  # a machine may be busy
        health = (await home.client.get("/health")).json()
        assert (health["status"], health["providers"]["far"]["status"]) == ("healthy", "provider_unavailable")
        shown = (await home.client.get("/api/llm/provider")).json()["providers"][1]
        assert (shown["id"], shown["status"]) == ("far", "provider_unavailable")
        assert shown["detail"]


async def test_one_of_our_models_that_is_broken_leaves_the_list_whole(caplog: pytest.LogCaptureFixture) -> None:
    async with house() as home:
        assert (await listed(home))["echo"]["max_model_len"] == 64
        for error in (EngineDead("it died"), RuntimeError("what nobody foresaw")):
            _break(home, error)
            found = await listed(home)
            assert {"echo", "hash", "auto"} <= set(found)
            code = error.code if isinstance(error, HeliostatError) else "engine_error"
            assert (found["echo"]["state"], found["echo"]["reason"]) == ("unavailable", code)
        assert any("the card of echo is not known" in line for line in caplog.messages)


def _break(home: House, error: Exception) -> None:
    async def card() -> Any:
        raise error

    home.model.card = card  # type: ignore[method-assign]


async def test_auto_takes_its_models_only_where_the_config_or_an_admin_says_so() -> None:
    chat = {"model": "auto", **CHAT}
    async with house(routing={"auto": {"models": [FULL, "echo"]}}) as home:
        before = await home.client.post("/v1/chat/completions", json=chat)
        assert (before.json()["model"], before.headers["x-heliostat-route"]) == (
            "echo",
            "auto -> echo; reason=available",
        )
        await home.known()
        after = await home.client.post("/v1/chat/completions", json=chat)
        assert (after.json()["model"], after.headers["x-heliostat-route"]) == (
            FULL,
            f"auto -> {FULL}; reason=order",
        )


async def test_ollamas_api_lists_shows_and_asks_them(home: House) -> None:
    tags = {one["model"] for one in (await home.client.get("/api/tags")).json()["models"]}
    assert {f"{FULL}:latest", "far/text-embed:latest"} <= tags
    shown = await home.client.post("/api/show", json={"model": FULL})
    assert (shown.status_code, shown.json()["capabilities"]) == (200, ["completion", "tools"])
    body = {"model": f"{FULL}:latest", **CHAT, "stream": False}
    answer = await home.client.post("/api/chat", json=body)
    assert (answer.status_code, answer.json()["model"]) == (200, f"{FULL}:latest"), answer.text
