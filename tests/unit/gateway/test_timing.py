"""Where the time of a request went: the header and the metrics."""

import asyncio
import re
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from cluster.errors import ReplicaLost
from cluster.types import ChatCall, EngineTiming
from deployments.gateway.metrics import Answered
from deployments.gateway.timing import HUNG_UP, Timing, Timings
from tests.unit.gateway.conftest import LocalModel, app_over, client_of, started

ASKED = {"model": "echo", "messages": [{"role": "user", "content": "one two three"}]}
STAGE = re.compile(r"([a-z_]+);dur=(\d+\.\d\d)")


class Recording:
    """Metrics that are lists."""

    def __init__(self) -> None:
        self.requests: list[Answered] = []

    def answered(self, request: Answered) -> None:
        self.requests.append(request)

    def retried(self, model: str, *, outcome: str) -> None: ...

    def cached(self, model: str, *, outcome: str) -> None: ...


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def timed(app: FastAPI, metrics: Recording | None = None) -> FastAPI:
    app.add_middleware(Timings, metrics=metrics)
    return app


def stages(response: httpx.Response) -> dict[str, float]:
    header = response.headers["x-heliostat-timing"]
    assert ", ".join(f"{name};dur={ms}" for name, ms in STAGE.findall(header)) == header
    return {name: float(ms) for name, ms in STAGE.findall(header)}


def asked_at(clock: Clock, timing: Timing) -> None:
    """A request that takes 1 s to check, waits 2 s for admission, and is then sent."""
    timing.queued(2.0)
    clock.now += 3.0
    timing.asked("m")


def test_the_stages_of_a_stream_add_up_to_its_first_token() -> None:
    clock = Clock()
    timing = Timing(clock)
    asked_at(clock, timing)
    clock.now += 10.0
    timing.hear(EngineTiming(queue_s=1.5, prefill_s=4.0, spent_s=5.5))
    timing.answered()
    found = timing.stages(streamed=True, ended=False)
    assert found == {"gateway": 1.0, "queue": 3.5, "route": 4.5, "prefill": 4.0, "first_token": 13.0}
    assert sum(found.values()) == 2 * found["first_token"]


def test_a_stream_that_has_ended_has_a_total_and_its_gateway_time_did_not_grow() -> None:
    clock = Clock()
    timing = Timing(clock)
    asked_at(clock, timing)
    timing.answered()
    clock.now += 50.0
    found = timing.stages(streamed=True, ended=True)
    assert (found["gateway"], found["total"]) == (1.0, 53.0)


def test_a_whole_answers_first_token_is_when_the_engine_made_it() -> None:
    clock = Clock()
    timing = Timing(clock)
    asked_at(clock, timing)
    clock.now += 20.0
    timing.hear(EngineTiming(prefill_s=4.0, spent_s=19.0))
    timing.answered()
    clock.now += 0.5
    found = timing.stages(streamed=False, ended=True)
    assert found == {
        "gateway": 1.5,
        "queue": 2.0,
        "route": 1.0,
        "prefill": 4.0,
        "first_token": 8.0,
        "total": 23.5,
    }


def test_what_the_engine_did_not_tell_is_not_named() -> None:
    clock = Clock()
    timing = Timing(clock)
    timing.asked("m")
    timing.hear(EngineTiming(spent_s=0.0))
    timing.answered()
    assert set(timing.stages(streamed=False, ended=True)) == {"gateway", "queue", "route", "total"}


def test_a_second_try_is_of_the_same_way() -> None:
    clock = Clock()
    timing = Timing(clock)
    timing.asked("m")
    clock.now += 1.0
    timing.asked("m")
    clock.now += 1.0
    timing.hear(EngineTiming(spent_s=0.25))
    timing.answered()
    assert timing.stages(streamed=False, ended=True)["route"] == 1.75


async def test_a_whole_answer_says_all_of_it() -> None:
    model = await started(first_token_delay_s=0.02, token_delay_s=0.01)
    async with client_of(timed(app_over(model))) as client:
        found = stages(await client.post("/v1/chat/completions", json=ASKED))
    # Without a replica there is no way there and back.
    assert set(found) == {"gateway", "queue", "prefill", "first_token", "total"}
    assert 20 <= found["prefill"] <= found["first_token"] <= found["total"] - 15


async def test_a_stream_says_what_is_known_at_its_first_byte(model: LocalModel) -> None:
    async with client_of(timed(app_over(model))) as client:
        found = stages(await client.post("/v1/chat/completions", json={**ASKED, "stream": True}))
    assert set(found) == {"gateway", "queue", "prefill", "first_token"}


@pytest.mark.parametrize("path", ["/v1/models", "/nowhere"])
async def test_an_answer_of_no_model_says_how_long_it_took(model: LocalModel, path: str) -> None:
    metrics = Recording()
    async with client_of(timed(app_over(model), metrics)) as client:
        assert set(stages(await client.get(path))) == {"gateway", "queue", "total"}
    assert metrics.requests == []


@pytest.mark.parametrize("stream", [False, True])
async def test_metrics_have_the_total_and_labels_of_few_values(model: LocalModel, stream: bool) -> None:
    metrics = Recording()
    async with client_of(timed(app_over(model), metrics)) as client:
        await client.post("/v1/chat/completions", json={**ASKED, "stream": stream})
    (request,) = metrics.requests
    assert (request.model, request.api, request.status) == ("echo", "/v1/chat/completions", 200)
    assert set(request.stages) == {"gateway", "queue", "prefill", "first_token", "total"}


async def test_embeddings_are_counted_too(model: LocalModel) -> None:
    metrics = Recording()
    async with client_of(timed(app_over(model), metrics)) as client:
        await client.post("/v1/embeddings", json={"model": "hash", "input": "a"})
    assert [(request.model, request.api) for request in metrics.requests] == [("hash", "/v1/embeddings")]


async def test_an_engines_failure_is_counted_with_its_status() -> None:
    metrics = Recording()
    async with client_of(timed(app_over(await started(fail_every=1)), metrics)) as client:
        await client.post("/v1/chat/completions", json=ASKED)
    assert [request.status for request in metrics.requests] == [500]


async def test_a_stream_that_breaks_is_counted_as_its_error() -> None:
    metrics = Recording()

    class Cut(LocalModel):
        async def stream(self, call: ChatCall) -> AsyncIterator[bytes]:
            async for event in self.engine.stream(call):
                yield event
                raise ReplicaLost("gone")

    async with client_of(timed(app_over(Cut((await started()).engine)), metrics)) as client:
        answer = await client.post("/v1/chat/completions", json={**ASKED, "stream": True})
    assert answer.status_code == 200
    assert [request.status for request in metrics.requests] == [503]


async def test_a_client_that_hangs_up_is_counted_as_such() -> None:
    metrics = Recording()
    app = timed(app_over(await started(token_delay_s=5)), metrics)
    body = b'{"model": "echo", "messages": [{"role": "user", "content": "one two"}]}'
    messages: list[Any] = [{"type": "http.request", "body": body, "more_body": False}, {"type": "http.disconnect"}]
    sent: list[Any] = []

    async def receive() -> Any:
        await asyncio.sleep(0.01)
        return messages.pop(0)

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "method": "POST",
        "path": "/v1/chat/completions",
        "raw_path": b"/v1/chat/completions",
        "query_string": b"",
        "headers": [(b"content-type", b"application/json")],
        "http_version": "1.1",
        "scheme": "http",
        "server": ("gateway", 80),
        "client": ("client", 1),
        "root_path": "",
    }
    with pytest.raises(asyncio.CancelledError):
        await app(scope, receive, send)
    assert sent == []
    assert [request.status for request in metrics.requests] == [HUNG_UP]
