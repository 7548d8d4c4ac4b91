"""Who answers when the asked model cannot, through the whole app."""

import asyncio
import json
from typing import Any

import pytest

from cluster.errors import EngineDead, EngineFailure, HeliostatError, Overloaded, ReplicaLost
from cluster.types import Priority
from deployments.gateway import retries
from tests.unit.gateway.cache.house import all_stored
from tests.unit.gateway.routing.conftest import House, house

PAIR: dict[str, dict[str, Any]] = {"a": {"fallbacks": ["b"]}, "b": {}}


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retries, "BACKOFF_S", 0.0)
    monkeypatch.setattr(retries, "DEAD_BACKOFF_S", 0.0)


async def failing(error: HeliostatError, models: dict[str, dict[str, Any]] = PAIR, **more: Any) -> House:
    gateway = await house(models, **more)
    gateway.models["a"].failing = error
    return gateway


@pytest.mark.parametrize(
    "error", [EngineFailure("broke"), EngineDead("dead"), ReplicaLost("lost"), Overloaded("full")]
)
async def test_the_fallback_answers_and_the_answer_says_so(error: HeliostatError) -> None:
    gateway = await failing(error)
    answer = await gateway.ask("a")
    assert (answer.status_code, answer.json()["model"]) == (200, "b")
    assert answer.headers["x-heliostat-route"] == f"a -> b; reason={error.code}"


@pytest.mark.parametrize("error", [EngineFailure("broke"), EngineDead("dead")])
async def test_a_stream_of_which_nothing_was_sent_comes_from_the_fallback(error: HeliostatError) -> None:
    gateway = await failing(error)
    answer = await gateway.ask("a", stream=True)
    assert answer.status_code == 200
    assert '"model":"b"' in answer.text.replace(" ", "")
    assert answer.text.endswith("data: [DONE]\n\n")
    assert answer.headers["x-heliostat-route"] == f"a -> b; reason={error.code}"


async def test_a_stream_that_has_begun_ends_with_its_error_and_no_fallback() -> None:
    gateway = await house(PAIR, scripts={"a": {"fail_after_tokens": 1}})
    answer = await gateway.ask("a", stream=True)
    assert '"code": "engine_error"' in answer.text
    assert gateway.models["b"].calls == 0


async def test_an_answer_of_the_asked_model_has_no_route_header() -> None:
    gateway = await house(PAIR)
    answer = await gateway.ask("a")
    assert (answer.json()["model"], "x-heliostat-route" in answer.headers) == ("a", False)


async def test_a_request_that_is_wrong_has_no_fallback() -> None:
    gateway = await house(PAIR, contexts={"b": 4096})
    answer = await gateway.ask("a", temperature=9)
    assert (answer.status_code, gateway.models["b"].calls) == (400, 0)


async def test_a_prompt_that_is_too_long_goes_to_the_longer_context_only() -> None:
    models = {"a": {"fallbacks": {"general": ["b"], "context_window": ["long"]}}, "b": {}, "long": {}}
    gateway = await house(models, contexts={"a": 16, "long": 4096})
    answer = await gateway.ask("a", messages=[{"role": "user", "content": "word " * 40}])
    assert (answer.status_code, answer.json()["model"]) == (200, "long")
    assert answer.headers["x-heliostat-route"] == "a -> long; reason=context_length_exceeded"
    assert gateway.models["b"].calls == 0


async def test_without_a_context_window_fallback_a_long_prompt_is_refused() -> None:
    gateway = await house(PAIR, contexts={"a": 16})
    answer = await gateway.ask("a", messages=[{"role": "user", "content": "word " * 40}])
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "context_length_exceeded")


async def test_a_raw_prompt_falls_back_too() -> None:
    gateway = await failing(EngineFailure("broke"))
    async with gateway.client() as client:
        answer = await client.post("/v1/completions", json={"model": "a", "prompt": "one two"})
    assert (answer.status_code, answer.json()["model"]) == (200, "b")


async def test_a_model_that_does_not_even_say_what_it_is_falls_back() -> None:
    gateway = await failing(EngineDead("dead"))
    gateway.models["a"].cardless = True
    answer = await gateway.ask("a")
    assert (answer.status_code, answer.json()["model"]) == (200, "b")


async def test_a_fallback_that_cannot_do_what_is_asked_is_passed_over() -> None:
    models = {"a": {"fallbacks": ["blind", "eye"]}, "blind": {}, "eye": {}}
    gateway = await failing(
        EngineFailure("broke"), models, scripts={"a": {"images": True}, "eye": {"images": True}}
    )
    gateway.models["blind"].calls = 0
    dot = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAIAAACQd1PeAAAADElEQVR4nGP4z8AAAAMBAQDJ/pLvAAAAAElFTkSuQmCC"
    content = [{"type": "image_url", "image_url": {"url": f"data:image/png;base64,{dot}"}}]
    answer = await gateway.ask("a", messages=[{"role": "user", "content": content}])
    assert (answer.status_code, answer.json()["model"], gateway.models["blind"].calls) == (200, "eye", 0)


async def test_when_all_fail_the_error_names_them() -> None:
    gateway = await failing(EngineDead("dead"))
    gateway.models["b"].failing = EngineFailure("broke")
    answer = await gateway.ask("a")
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "unavailable")
    assert "a (engine_dead), b (engine_error)" in answer.json()["error"]["message"]


async def test_without_fallbacks_the_models_own_error_is_the_answer() -> None:
    gateway = await failing(EngineDead("dead"), {"a": {}, "b": {}})
    answer = await gateway.ask("a")
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "engine_dead")


async def test_five_failed_requests_open_the_breaker_and_the_sixth_asks_nobody() -> None:
    gateway = await failing(EngineFailure("broke"), {"a": {}})
    for _ in range(5):
        assert (await gateway.ask("a")).status_code == 500
    answer = await gateway.ask("a")
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "circuit_open")
    assert 58 <= int(answer.headers["retry-after"]) <= 60
    assert gateway.models["a"].calls == 5
    assert [event.reason for event in gateway.events("breaker")] == ["open"]
    async with gateway.client() as client:
        assert (await client.get("/health")).json()["circuits"] == {"a": "open"}


async def test_with_an_open_breaker_the_fallback_answers_at_once() -> None:
    gateway = await failing(EngineFailure("broke"))
    for _ in range(6):
        assert (await gateway.ask("a")).json()["model"] == "b"
    assert gateway.models["a"].calls == 5
    assert gateway.events("fallback")[-1].reason == "circuit_open"


async def test_a_breaker_probes_after_its_cooldown_and_closes() -> None:
    gateway = await failing(
        EngineFailure("broke"), {"a": {}}, routing={"breaker": {"failures": 2, "cooldown_s": 60}}
    )
    gateway.now = 0.0
    for _ in range(2):
        await gateway.ask("a")
    gateway.now = 59.0
    assert (await gateway.ask("a")).status_code == 503
    gateway.models["a"].failing = None
    gateway.now = 60.0
    assert (await gateway.ask("a")).status_code == 200
    assert [event.reason for event in gateway.events("breaker")] == ["open", "half_open", "closed"]


async def test_requests_that_are_wrong_never_open_a_breaker() -> None:
    gateway = await house({"a": {}}, contexts={"a": 16})
    for _ in range(8):
        await gateway.ask("a", messages=[{"role": "user", "content": "word " * 40}])
    assert (await gateway.ask("a")).status_code == 200


async def test_no_running_replica_means_the_fallback_without_a_try() -> None:
    gateway = await house(PAIR, running={"a": 0})
    answer = await gateway.ask("a")
    assert (answer.json()["model"], gateway.models["a"].calls) == ("b", 0)
    assert answer.headers["x-heliostat-route"] == "a -> b; reason=no_replicas"


async def test_a_model_that_scales_to_zero_is_asked_all_the_same_or_it_would_never_wake() -> None:
    gateway = await house({"a": {"fallbacks": ["b"], "replicas": {"min": 0, "max": 2}}, "b": {}}, running={"a": 0})
    assert (await gateway.ask("a")).json()["model"] == "a"


async def test_a_queue_longer_than_the_client_waits_means_the_fallback() -> None:
    gateway = await house(PAIR)
    queue = gateway.gate.queue("a")
    queue.predicted_wait_s = lambda _: 5.0  # type: ignore[method-assign]
    patient, hurried = await gateway.ask("a"), await gateway.ask("a", {"x-heliostat-timeout-ms": "3000"})
    assert (patient.json()["model"], hurried.json()["model"]) == ("a", "b")
    (passed,) = gateway.events("passed_over")
    assert (passed.reason, passed.inputs["predicted_wait_s"]) == ("capacity", 5.0)
    assert 2.5 < passed.inputs["deadline_s"] <= 3.0


async def test_a_busy_model_is_asked_at_last_where_its_fallbacks_fail() -> None:
    gateway = await house(PAIR)
    gateway.gate.queue("a").predicted_wait_s = lambda _: 5.0  # type: ignore[method-assign]
    gateway.models["b"].failing = EngineFailure("broke")
    answer = await gateway.ask("a", {"x-stainless-read-timeout": "3"})
    assert (answer.status_code, answer.json()["model"]) == (200, "a")


async def test_a_fallbacks_answer_is_cached_under_its_own_name() -> None:
    gateway = await failing(EngineFailure("broke"), cache={"enabled": True})
    first = await gateway.ask("a", temperature=0)
    await all_stored()
    own = await gateway.ask("b", temperature=0)
    gateway.models["a"].failing = None
    asked = await gateway.ask("a", temperature=0)
    assert (first.json()["model"], own.headers["x-heliostat-cache"]) == ("b", "hit")
    assert (asked.json()["model"], asked.headers["x-heliostat-cache"]) == ("a", "miss")


async def test_a_fallback_is_one_event_with_what_was_tried() -> None:
    gateway = await failing(EngineFailure("broke"))
    answer = await gateway.ask("a")
    (event,) = gateway.events("fallback")
    assert (event.model, event.reason, event.inputs["answered"]) == ("a", "engine_error", "b")
    assert event.inputs["tried"] == [{"target": "a", "reason": "engine_error"}]
    assert event.request_id == answer.headers["x-request-id"]


async def test_a_plain_answer_is_no_event_unless_asked_for() -> None:
    plain, told = await house(PAIR), await house(PAIR, routing={"events": {"every_route": True}})
    await plain.ask("a")
    await told.ask("a")
    assert list(plain.router.events.recent) == []
    assert [(event.kind, event.model) for event in told.router.events.recent] == [("route", "a")]


async def test_every_retry_is_an_event() -> None:
    gateway = await failing(ReplicaLost("lost"), {"a": {}})
    await gateway.ask("a")
    assert [(event.reason, event.inputs["tried"]) for event in gateway.events("retry")] == [
        ("tried_again", 1),
        ("tried_again", 2),
        ("no_tries", 3),
    ]


async def test_nothing_is_left_in_the_queues_after_fallbacks() -> None:
    gateway = await failing(EngineFailure("broke"))
    await asyncio.gather(*(gateway.ask("a", stream=index % 2 == 0) for index in range(6)))
    assert [gateway.gate.queue(name).running for name in ("a", "b")] == [0, 0]


async def test_a_fallback_that_the_key_may_not_ask_is_no_fallback() -> None:
    gateway = await failing(EngineFailure("broke"))
    trail = gateway.router.trail(
        "a", may_ask=lambda name: name == "a", priority=Priority.INTERACTIVE, request_id="r"
    )
    assert trail.first() == "a"
    with pytest.raises(EngineFailure):
        trail.after("a", EngineFailure("broke"))


async def test_anthropics_and_responses_answers_name_who_answered() -> None:
    gateway = await failing(EngineFailure("broke"))
    async with gateway.client() as client:
        message = await client.post(
            "/v1/messages",
            json={"model": "a", "max_tokens": 8, "messages": [{"role": "user", "content": "one two"}]},
            headers={"anthropic-version": "2023-06-01"},
        )
        response = await client.post("/v1/responses", json={"model": "a", "input": "one two", "store": False})
    assert (message.status_code, message.json()["model"]) == (200, "b")
    assert (response.status_code, response.json()["model"]) == (200, "b"), json.dumps(response.json())
