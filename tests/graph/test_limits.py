"""Limits and the queue through the whole graph."""

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import openai
import pytest
from fastapi import FastAPI

from cluster.config import resolve
from tests.graph.graphs import app_of, client_of

CHAT = "/v1/chat/completions"
HELLO = {"model": "echo", "messages": [{"role": "user", "content": "one two three"}]}
MOST = 60  # requests in which forty a minute are used up, also on a slow machine
SLOW = {**HELLO, "model": "slow"}


@pytest.fixture
def limited_app(tmp_path: Path) -> FastAPI:
    args = {
        "home": str(tmp_path),
        "models": [
            {"id": "echo", "engine": {"kind": "scripted"}},
            {"id": "slow", "engine": {"kind": "scripted", "token_delay_s": 0.02, "tokens": 20}},
        ],
        "limits": {
            "rates": {"requests_per_minute": 40, "tokens_per_minute": 1000},
            "queue": {"at_once": 1, "max_wait_ms": 100},
            "generation_timeout_ms": 2000,
        },
        "stores": {"vectors": {"kind": "memory"}},
    }
    return app_of(resolve(args, {}), "limited")


@pytest.fixture
async def limited(limited_app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(limited_app) as client:
        yield client


async def test_a_model_that_is_busy_lets_others_wait_and_then_sends_them_away(limited: httpx.AsyncClient) -> None:
    first = asyncio.create_task(limited.post(CHAT, json={**SLOW, "stream": True}))
    await asyncio.sleep(0.1)  # it has the only place by now
    refused = await limited.post(CHAT, json=SLOW)
    assert refused.status_code == 429
    assert refused.json()["error"]["code"] == "rate_limit_exceeded"
    assert int(refused.headers["retry-after"]) >= 1
    assert (await limited.post(CHAT, json=HELLO)).status_code == 200  # another model's place
    assert (await first).text.endswith("data: [DONE]\n\n")
    assert (await limited.post(CHAT, json={**SLOW, "max_tokens": 1})).status_code == 200


async def test_limits_are_told_and_held(limited: httpx.AsyncClient) -> None:
    told = (await limited.post(CHAT, json=HELLO)).headers
    assert told["x-ratelimit-limit-requests"] == "40"
    assert told["x-ratelimit-limit-tokens"] == "1000"
    for number in range(MOST):
        answer = await limited.post(CHAT, json={**HELLO, "stream": bool(number % 2)})
        if answer.status_code != 200:
            break
    assert answer.status_code == 429
    assert answer.headers["x-ratelimit-remaining-requests"] == "0"
    assert int(answer.headers["retry-after-ms"]) <= 1500
    # Each took 7 tokens at most: what was reserved for long answers has been given back.
    assert int(answer.headers["x-ratelimit-remaining-tokens"]) > 500


async def test_openais_client_waits_as_long_as_it_is_told(limited: httpx.AsyncClient) -> None:
    async with openai.AsyncOpenAI(
        api_key="none", base_url="http://graph/v1", http_client=limited, max_retries=1
    ) as client:
        asked: list[int] = []
        limited.event_hooks["response"].append(lambda response: _note(asked, response))
        for _ in range(MOST):
            begun = time.monotonic()
            await client.chat.completions.create(**HELLO, max_tokens=3)
            if asked[-2:] == [429, 200]:
                break
        assert 429 in asked
        assert time.monotonic() - begun < 5  # forty a minute is one in 1.5 s
        with pytest.raises(openai.RateLimitError, match="aiting does not help"):
            await client.chat.completions.create(**HELLO, max_tokens=1001)
        assert asked[-2:] == [200, 429]  # and no second try


async def _note(asked: list[int], response: httpx.Response) -> None:
    asked.append(response.status_code)


async def test_headers_of_any_length_are_not_read(limited: httpx.AsyncClient) -> None:
    response = await limited.get("/v1/models", headers={"x-long": "a" * 40_000})
    assert (response.status_code, response.json()["error"]["code"]) == (431, "headers_too_large")
