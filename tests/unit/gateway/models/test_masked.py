"""Another model answers while the asked one loads in the background."""

import asyncio

import pytest

from cluster.errors import LoadFailed
from deployments.gateway.models import claims
from tests.unit.gateway.models.slow_fleet import gateway
from tests.unit.waiting import until


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(claims, "MASK_S", 0.02)


async def test_the_fallback_answers_until_the_model_is_there_and_the_answer_says_why() -> None:
    async with gateway(loading=("echo",)) as this:
        for stream in (False, True):
            answer = await this.post(stream=stream)
            assert answer.status_code == 200
            assert answer.headers["x-heliostat-route"] == "big -> echo; reason=loading"
            assert '"model":"echo"' in answer.text.replace(" ", "")
        assert this.fleet.waiting == 1  # its load goes on, once
        fallback = this.events("fallback")[-1]
        assert (fallback.model, fallback.reason, fallback.inputs["answered"]) == ("big", "loading", "echo")
        assert this.events("passed_over")[-1].reason == "loading"
        this.fleet.there.set()
        await until(lambda: this.claims.holds("big"))
        answer = await this.post()
        assert (answer.json()["model"], "x-heliostat-route" in answer.headers) == ("big", False)


async def test_a_loaded_model_answers_itself() -> None:
    async with gateway(loading=("echo",)) as this:
        this.fleet.there.set()
        answer = await this.post()
        assert (answer.json()["model"], this.events("fallback")) == ("big", [])


async def test_without_a_fallback_for_it_requests_wait() -> None:
    async with gateway() as this:
        waiting = asyncio.create_task(this.post())
        await until(lambda: this.fleet.waiting)
        await asyncio.sleep(0.05)
        this.fleet.there.set()
        assert (await waiting).json()["model"] == "big"


async def test_a_load_that_fails_in_the_background_fails_no_request() -> None:
    async with gateway(loading=("echo",)) as this:
        this.fleet.failing = LoadFailed("broken")
        this.fleet.there.set()
        for _ in range(2):
            assert (await this.post()).json()["model"] == "echo"
        assert this.fleet.claimed == []


async def test_what_the_fallback_cannot_do_waits_for_the_model() -> None:
    async with gateway(loading=("echo",)) as this:
        long = [{"role": "user", "content": "word " * 5000}]  # more than echo reads
        waiting = asyncio.create_task(this.post(messages=long))
        await until(lambda: this.fleet.waiting)
        await asyncio.sleep(0.05)
        this.fleet.there.set()
        answer = await waiting
        assert answer.status_code == 400
        assert this.fleet.claimed == ["big"]
