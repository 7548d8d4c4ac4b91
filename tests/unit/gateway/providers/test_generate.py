"""`POST /api/v1/models/generate`: a prompt answered."""

from typing import Any

import pytest

from tests.unit.engines.remote.fake_openai import REMOTE
from tests.unit.gateway.providers.conftest import FULL, House, house

pytestmark = pytest.mark.asyncio(loop_scope="module")
PATH = "/api/v1/models/generate"


async def test_a_prompt_is_answered_with_what_it_took() -> None:
    async with house() as home:
        body = {"prompt": "one two three", "model": "echo", "temperature": 0.5, "max_tokens": 2, "top_p": None}
        answer = await home.client.post(PATH, json={**body, "system_prompt": "be short"})
        found = answer.json()
        assert answer.status_code == 200, answer.text
        assert (found["object"], found["model"], found["provider"]) == ("generation", "echo", "local")
        assert (found["finish_reason"], found["usage"]["completion_tokens"]) == ("length", 2)
        assert found["text"]
        assert found["latency_ms"] >= 0


async def test_a_prompt_that_names_no_model_goes_where_it_can_be_answered(home: House) -> None:
    assert (await home.client.post(PATH, json={"prompt": "hi"})).json()["model"] == "echo"
    found = (await home.client.post(PATH, json={"prompt": "hi", "provider": "far"})).json()
    assert (found["model"], found["provider"]) == (FULL, "far")
    named = {"prompt": "hi", "provider": "far", "model": REMOTE}
    assert (await home.client.post(PATH, json=named)).json()["model"] == FULL
    await home.client.post("/api/llm/provider/switch", json={"provider": "far"})
    assert (await home.client.post(PATH, json={"prompt": "hi"})).json()["model"] == FULL


WRONG: list[tuple[dict[str, Any], int, str, str]] = [
    ({}, 400, "invalid_request", "prompt"),
    ({"prompt": ""}, 400, "invalid_request", "prompt"),
    ({"prompt": "a", "stream": True}, 400, "invalid_request", "stream"),
    ({"prompt": "a", "temperature": 3}, 400, "invalid_request", "temperature"),
    ({"prompt": "a", "model": "nope"}, 404, "model_not_found", "model"),
    ({"prompt": "a", "provider": "nope"}, 404, "provider_not_found", "provider"),
    ({"prompt": "a", "provider": "far", "model": "echo"}, 404, "model_not_found", "model"),
    ({"prompt": "a", "model": "echo", "top_k": 3}, 400, "unsupported_parameter", "top_k"),
    ({"prompt": "word " * 900, "model": "echo"}, 400, "context_length_exceeded", "prompt"),
]


async def test_what_is_wrong_is_named(home: House) -> None:
    for body, status, code, param in WRONG:
        answer = await home.client.post(PATH, json=body)
        error = answer.json()["error"]
        assert (answer.status_code, error["code"], error["param"]) == (status, code, param), answer.text


async def test_where_auto_is_off_a_model_has_to_be_named() -> None:
    async with house(routing={"auto": {"enabled": False}}) as home:
        for body in ({"prompt": "a"}, {"prompt": "a", "provider": "local"}):
            answer = await home.client.post(PATH, json=body)
            assert (answer.status_code, answer.json()["error"]["param"]) == (400, "model")
