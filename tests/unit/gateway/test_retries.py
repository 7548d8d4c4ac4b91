"""Another try where a replica dies before its first byte, through the app, with engines that die by script."""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from cluster.errors import BadRequest, EngineDead, EngineFailure, HeliostatError, Overloaded, ReplicaLost
from cluster.types import ChatCall, ModelCard
from deployments.gateway.retries import Retries, RetryBudget
from tests.unit.gateway.conftest import LocalModel, app_over, client_of, started

ASKED = {"model": "echo", "messages": [{"role": "user", "content": "one two three"}]}


class Replicas(LocalModel):
    """Several replicas of one model, asked in turn as Serve's router might."""

    def __init__(self, *replicas: LocalModel) -> None:
        super().__init__(replicas[0].engine)
        self._replicas = replicas
        self.asked = 0

    def _next(self) -> LocalModel:
        self.asked += 1
        return self._replicas[(self.asked - 1) % len(self._replicas)]

    async def card(self) -> ModelCard:
        return await self._replicas[-1].card()

    async def chat(self, call: ChatCall) -> bytes:
        return await self._next().chat(call)

    def stream(self, call: ChatCall) -> AsyncIterator[bytes]:
        return self._next().stream(call)


class Cut(LocalModel):
    """A replica that is lost in the middle of its streams."""

    async def stream(self, call: ChatCall) -> AsyncIterator[bytes]:
        async for event in self.engine.stream(call):
            yield event
            raise ReplicaLost("The replica that held the request died")


class Refusing(LocalModel):
    """A replica that answers with one error."""

    def __init__(self, engine: Any, error: HeliostatError) -> None:
        super().__init__(engine)
        self.error = error
        self.asked = 0

    async def chat(self, call: ChatCall) -> bytes:
        self.asked += 1
        raise self.error


class Counting:
    """Metrics that are lists."""

    def __init__(self) -> None:
        self.retries: list[str] = []

    def answered(self, request: Any) -> None: ...

    def cached(self, model: str, *, outcome: str) -> None: ...

    def retried(self, model: str, *, outcome: str) -> None:
        self.retries.append(outcome)


async def dying_and_sound() -> Replicas:
    return Replicas(await started(die_after=1), await started())


async def ask(model: LocalModel, **fields: Any) -> httpx.Response:
    async with client_of(app_over(model)) as client:
        return await client.post("/v1/chat/completions", json={**ASKED, **fields})


async def test_a_whole_answer_comes_from_another_replica_when_the_first_dies() -> None:
    replicas = await dying_and_sound()
    answer = await ask(replicas)
    assert (answer.status_code, replicas.asked) == (200, 2)
    assert answer.json()["choices"][0]["message"]["content"] == "one two three"


async def test_a_stream_comes_from_another_replica_when_the_first_dies_before_a_byte() -> None:
    replicas = await dying_and_sound()
    answer = await ask(replicas, stream=True)
    assert (answer.status_code, replicas.asked) == (200, 2)
    assert answer.text.endswith("data: [DONE]\n\n")
    assert "error" not in answer.text


async def test_a_stream_that_breaks_after_its_first_byte_is_not_tried_again() -> None:
    replicas = Replicas(Cut((await started()).engine), await started())
    answer = await ask(replicas, stream=True)
    assert (answer.status_code, replicas.asked) == (200, 1)
    assert '"code": "replica_lost"' in answer.text
    assert "[DONE]" not in answer.text


async def test_after_two_more_tries_it_is_503() -> None:
    replicas = Replicas(await started(die_after=1), await started(die_after=1), await started(die_after=1))
    sound = await started()
    replicas.card = sound.card  # type: ignore[method-assign]
    answer = await ask(replicas)
    assert (answer.status_code, answer.json()["error"]["code"], replicas.asked) == (503, "engine_dead", 3)


@pytest.mark.parametrize("error", [Overloaded("full"), BadRequest("no"), EngineFailure("it broke")])
async def test_what_another_replica_would_not_do_better_is_not_tried_again(error: HeliostatError) -> None:
    model = Refusing((await started()).engine, error)
    answer = await ask(model)
    assert (answer.status_code, model.asked) == (error.status, 1)


async def test_an_engine_that_fails_now_and_then_is_not_asked_twice() -> None:
    replicas = Replicas(await started(fail_every=1), await started())
    answer = await ask(replicas)
    assert (answer.json()["error"]["code"], replicas.asked) == ("engine_error", 1)


async def test_without_budget_the_first_loss_is_the_answer() -> None:
    metrics = Counting()
    retries = Retries(budget=RetryBudget(floor=0), metrics=metrics, chance=lambda: 0.0)

    async def lost() -> bytes:
        raise ReplicaLost("gone")

    with pytest.raises(ReplicaLost):
        await retries.whole("m", lost)
    assert metrics.retries == ["no_budget"]


async def test_every_loss_is_counted_and_the_models_card_forgotten() -> None:
    metrics, forgotten = Counting(), []
    retries = Retries(metrics=metrics, chance=lambda: 0.0, lost=forgotten.append)

    async def lost() -> bytes:
        raise ReplicaLost("gone")

    with pytest.raises(ReplicaLost):
        await retries.whole("m", lost)
    assert metrics.retries == ["tried_again", "tried_again", "no_tries"]
    assert forgotten == ["m"] * 3


def test_a_storm_makes_at_most_a_fifth_more_traffic() -> None:
    budget = RetryBudget(share=0.2, floor=3, window_s=10)
    for number in range(1000):
        budget.asked(number / 100)
    assert sum(budget.take(10.0 - 1e-6) for _ in range(5000)) == 200


def test_a_little_traffic_may_try_again_a_few_times() -> None:
    budget = RetryBudget(share=0.2, floor=3, window_s=10)
    budget.asked(0.0)
    assert [budget.take(1.0) for _ in range(4)] == [True, True, True, False]


def test_the_budget_comes_back_when_its_window_has_passed() -> None:
    budget = RetryBudget(share=0.2, floor=1, window_s=10)
    assert [budget.take(0.0), budget.take(9.9), budget.take(10.0)] == [True, False, True]


def test_requests_that_have_left_the_window_allow_nothing() -> None:
    budget = RetryBudget(share=0.5, floor=0, window_s=10)
    for _ in range(10):
        budget.asked(0.0)
    assert budget.take(5.0)
    assert not budget.take(10.0)


def test_each_request_that_runs_may_be_tried_again_once_in_a_window() -> None:
    budget = RetryBudget(share=0.2, floor=3, window_s=10)
    assert sum(budget.take(1.0, running=16) for _ in range(40)) == 16
    assert not budget.take(10.9, running=16)
    assert budget.take(11.0, running=16)


async def test_a_dead_engine_is_given_the_time_to_end_before_the_next_try(monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float] = []

    async def noted(seconds: float) -> None:
        waits.append(seconds)

    monkeypatch.setattr("deployments.gateway.retries.asyncio.sleep", noted)
    errors: list[HeliostatError] = [EngineDead("dead"), ReplicaLost("lost")]

    async def ask() -> bytes:
        if errors:
            raise errors.pop(0)
        return b"answer"

    assert await Retries(chance=lambda: 0.5).whole("m", ask) == b"answer"
    assert waits == [0.4, 0.1]
