"""Deadlines, fallbacks, breakers and events through the whole graph."""

from collections.abc import AsyncIterator

import httpx
import pytest
from fastapi import FastAPI

from cluster.config import resolve
from tests.graph.graphs import app_of, client_of
from tests.graph.test_cache_and_timing import stages


def asked(model: str) -> dict[str, object]:
    return {"model": model, "messages": [{"role": "user", "content": "one two three"}]}


@pytest.fixture(scope="module")
def frail_app(tmp_path_factory: pytest.TempPathFactory) -> FastAPI:
    alone = ["sound"]
    args = {
        "home": str(tmp_path_factory.mktemp("home")),
        "hub": {"max_cached_models": 9},
        "routing": {"breaker": {"failures": 2, "cooldown_s": 600}},
        "models": [
            {"id": "now-and-then", "engine": {"kind": "scripted", "fail_every": 2}, "fallbacks": alone},
            {"id": "mortal", "engine": {"kind": "scripted", "die_after": 2}, "fallbacks": alone},
            {"id": "broken", "engine": {"kind": "scripted", "fail_every": 1}},
            {
                "id": "short",
                "context_length": 16,
                "engine": {"kind": "scripted"},
                "fallbacks": {"context_window": alone},
            },
            {"id": "slow", "engine": {"kind": "scripted", "token_delay_s": 0.05, "tokens": 200}},
            {"id": "sound", "engine": {"kind": "scripted"}},
        ],
        "stores": {"vectors": {"kind": "memory"}},
    }
    return app_of(resolve(args, {}), "frail")


@pytest.fixture
async def frail(frail_app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(frail_app) as client:
        yield client


async def test_nobody_sees_an_engine_that_fails_now_and_then(frail: httpx.AsyncClient) -> None:
    models = []
    for number in range(6):
        body = {**asked("now-and-then"), "stream": number >= 4}
        answer = await frail.post("/v1/chat/completions", json=body)
        assert answer.status_code == 200, answer.text
        models.append(answer.headers.get("x-heliostat-route"))
    assert models == [None, "now-and-then -> sound; reason=engine_error"] * 3


async def test_nobody_sees_an_engine_that_dies(frail: httpx.AsyncClient) -> None:
    answers = [await frail.post("/v1/chat/completions", json=asked("mortal")) for _ in range(5)]
    assert [answer.json()["model"] for answer in answers] == ["mortal", *["sound"] * 4]
    routes = [answer.headers.get("x-heliostat-route", "") for answer in answers]
    assert "reason=engine_dead" in routes[1]
    assert "reason=circuit_open" in routes[4]


async def test_a_broken_model_is_left_alone_and_says_for_how_long(frail: httpx.AsyncClient) -> None:
    answers = [await frail.post("/v1/chat/completions", json=asked("broken")) for _ in range(3)]
    assert [answer.json()["error"]["code"] for answer in answers] == [
        "engine_error",
        "engine_error",
        "circuit_open",
    ]
    assert 590 <= int(answers[2].headers["retry-after"]) <= 600
    assert (await frail.get("/health")).json()["circuits"]["broken"] == "open"
    told = (await frail.get("/api/v1/events", params={"kind": "breaker", "model": "broken"})).json()["data"]
    assert [(event["reason"], event["inputs"]["failures_in_a_row"]) for event in told] == [("open", 2)]


async def test_what_is_too_long_goes_where_it_fits(frail: httpx.AsyncClient) -> None:
    body = {**asked("short"), "messages": [{"role": "user", "content": "word " * 40}]}
    answer = await frail.post("/v1/chat/completions", json=body)
    assert (answer.status_code, answer.json()["model"]) == (200, "sound")


async def test_a_clients_deadline_stops_the_work(frail: httpx.AsyncClient) -> None:
    answer = await frail.post("/v1/chat/completions", json=asked("slow"), headers={"x-heliostat-timeout-ms": "150"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (504, "deadline_exceeded")
    assert (await frail.get("/health")).json()["load"]["slow"]["running"] == 0
    assert stages(answer)["total"] < 2000
