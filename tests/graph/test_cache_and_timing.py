"""Timing, cache and idempotency over the whole graph: what the replica measured arrives at the gateway."""

import asyncio
import re
from collections.abc import AsyncIterator, Iterator

import httpx
import pytest
from fastapi import FastAPI

from cluster.settings.gateway import CacheSettings, SemanticSettings
from cluster.settings.tree import Settings
from deployments.gateway.cache import semantic
from tests.graph.graphs import app_of, client_of
from tests.unit.gateway.cache.house import all_stored

ASKED = {"model": "echo", "messages": [{"role": "user", "content": "hello graph"}], "temperature": 0}
STAGE = re.compile(r"([a-z_]+);dur=(\d+\.\d\d)")


@pytest.fixture(scope="module")
def cached_app(graph_settings: Settings) -> Iterator[FastAPI]:
    on = CacheSettings(enabled=True, semantic=SemanticSettings(enabled=True))
    settings = graph_settings.model_copy(update={"cache": on})
    app = app_of(settings, "cached")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(semantic, "PATIENCE_S", 10.0)  # the machine that runs the tests may have other work
        yield app


@pytest.fixture
async def cached(cached_app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(cached_app) as client:
        yield client


def stages(response: httpx.Response) -> dict[str, float]:
    return {name: float(ms) for name, ms in STAGE.findall(response.headers["x-heliostat-timing"])}


async def test_a_whole_answer_says_where_all_its_time_went(graph: httpx.AsyncClient) -> None:
    found = stages(await graph.post("/v1/chat/completions", json={**ASKED, "model": "slow/echo", "max_tokens": 3}))
    assert list(found) == ["gateway", "queue", "route", "prefill", "first_token", "total"]
    assert found["total"] >= 100 > found["prefill"]  # two pauses of 50 ms after the first token


async def test_a_streams_header_adds_up_to_its_first_token(graph: httpx.AsyncClient) -> None:
    found = stages(await graph.post("/v1/chat/completions", json={**ASKED, "stream": True}))
    assert list(found) == ["gateway", "queue", "route", "prefill", "first_token"]
    parts = sum(found[name] for name in ("gateway", "queue", "route", "prefill"))
    assert parts == pytest.approx(found["first_token"], abs=0.03)  # each is rounded


async def test_without_the_setting_nothing_is_cached(graph: httpx.AsyncClient) -> None:
    for _ in range(2):
        assert "x-heliostat-cache" not in (await graph.post("/v1/chat/completions", json=ASKED)).headers


async def test_an_answer_is_a_miss_and_then_a_hit_without_a_replica(cached: httpx.AsyncClient) -> None:
    first = await cached.post("/v1/chat/completions", json=ASKED)
    assert first.headers["x-heliostat-cache"] == "miss"
    assert list(stages(first)) == ["gateway", "queue", "route", "prefill", "first_token", "total"]
    await all_stored()
    second = await cached.post("/v1/chat/completions", json={**ASKED, "stream": True})
    assert second.headers["x-heliostat-cache"] == "hit"
    assert list(stages(second)) == ["gateway", "queue"]
    assert '"content":"hello graph"' in second.text


async def test_embeddings_are_cached_by_text(cached: httpx.AsyncClient) -> None:
    outcomes = []
    for given in (["a b"], ["a b", "c"], ["c", "a b"]):
        answer = await cached.post("/v1/embeddings", json={"model": "hash", "input": given})
        outcomes.append(answer.headers["x-heliostat-cache"])
    assert outcomes == ["miss", "miss", "hit"]


async def test_a_request_with_a_key_runs_once(graph: httpx.AsyncClient) -> None:
    headers = {"idempotency-key": "graph-1"}
    first, second = [await graph.post("/v1/chat/completions", json=ASKED, headers=headers) for _ in range(2)]
    assert first.json()["id"] == second.json()["id"]
    assert second.headers["idempotency-replayed"] == "true"


def asked_by(text: str, **fields: object) -> dict[str, object]:
    return {**ASKED, "messages": [{"role": "user", "content": text}], **fields}


async def test_fifty_identical_requests_at_once_are_generated_once(cached: httpx.AsyncClient) -> None:
    body = {**asked_by("fifty of us at once"), "model": "slow/echo", "max_tokens": 4}
    found = await asyncio.gather(*(cached.post("/v1/chat/completions", json=body) for _ in range(50)))
    assert sorted(answer.headers["x-heliostat-cache"] for answer in found) == ["hit"] * 49 + ["miss"]
    assert len({answer.json()["id"] for answer in found}) == 1


async def test_streams_at_once_share_a_generation_too(cached: httpx.AsyncClient) -> None:
    body = {**asked_by("streams of us at once"), "model": "slow/echo", "max_tokens": 4, "stream": True}
    found = await asyncio.gather(*(cached.post("/v1/chat/completions", json=body) for _ in range(5)))
    assert sorted(answer.headers["x-heliostat-cache"] for answer in found) == ["hit"] * 4 + ["miss"]
    assert len({answer.text for answer in found}) == 1


async def test_a_near_question_has_the_stored_answer_of_the_same_model(cached: httpx.AsyncClient) -> None:
    first = await cached.post("/v1/chat/completions", json=asked_by("Where is the Louvre?"))
    await all_stored()  # and its question embedded
    near = await cached.post("/v1/chat/completions", json=asked_by("where is the louvre"))
    assert (first.headers["x-heliostat-cache"], near.headers["x-heliostat-cache"]) == ("miss", "semantic")
    assert near.json() == first.json()
    assert list(stages(near)) == ["gateway", "queue", "total"]
    for other in ({"model": "eye"}, {"temperature": 1, "seed": 7}):
        answer = await cached.post("/v1/chat/completions", json=asked_by("where is the louvre", **other))
        assert answer.headers["x-heliostat-cache"] == "miss"
