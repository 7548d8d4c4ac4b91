"""Limits and the queue as a client sees them."""

import asyncio
import json
import logging
import time
from collections.abc import Awaitable
from typing import Any

import httpx
import pytest

from cluster.errors import GenerationTimeout
from cluster.settings.tree import Settings
from cluster.types import ChatCall, Priority
from deployments.gateway.limits.account import Standing, Verdict
from deployments.gateway.limits.admission import ModelQueue
from deployments.gateway.limits.gate import Gate, open_gate, streamed
from deployments.gateway.limits.limiter import Limiter
from deployments.gateway.limits.memory import MemoryLimits
from deployments.gateway.limits.store import StoreAway
from deployments.gateway.limits.usage import Estimate
from deployments.gateway.principal import LOCAL, Limits, Principal
from deployments.gateway.timing import Timings
from tests.unit.gateway.conftest import LocalModel, client_of, settings_with, started
from tests.unit.gateway.limits.conftest import HELLO, app_behind, entering, key
from tests.unit.waiting import until

CHAT = "/v1/chat/completions"


class House:
    """A gateway over one scripted model, with a clock of its own for the limits."""

    def __init__(self, model: LocalModel, settings: Settings, *keys: Principal) -> None:
        self.now = 0.0
        self.model = model
        opened = open_gate(settings)
        rates = settings.limits.rates
        defaults = Limits(**{name: getattr(rates, name) for name in Limits.__slots__})
        store = MemoryLimits(clock=lambda: self.now)
        self.gate = Gate(limiter=Limiter(store, defaults=defaults), queues={"echo": opened.queue("echo")})
        self.client = client_of(app_behind(self.gate, model, settings, *keys))

    def ask(self, name: str = "key", path: str = CHAT, **fields: Any) -> Awaitable[httpx.Response]:
        return self.client.post(path, json={**HELLO, **fields}, headers={"x-key": name})


async def house(*keys: Principal, settings: Settings | None = None, **script: Any) -> House:
    return House(await started(**script), settings or settings_with(), *keys)


async def test_requests_over_the_limit_are_429_with_the_time_to_come_back() -> None:
    home = await house(key(requests_per_minute=2))
    statuses = [(await home.ask()).status_code for _ in range(2)]
    refused = await home.ask()
    assert [*statuses, refused.status_code] == [200, 200, 429]
    error = refused.json()["error"]
    assert (error["code"], error["type"]) == ("rate_limit_exceeded", "rate_limit_error")
    assert (refused.headers["retry-after"], refused.headers["retry-after-ms"]) == ("30", "30000")
    assert "x-should-retry" not in refused.headers
    home.now = 30.0
    assert (await home.ask()).status_code == 200


async def test_every_answer_to_a_limited_key_says_what_is_left() -> None:
    home = await house(key(requests_per_minute=60, tokens_per_minute=1000))
    whole = await home.ask(max_tokens=100)
    assert whole.headers["x-ratelimit-limit-requests"] == "60"
    assert whole.headers["x-ratelimit-remaining-requests"] == "59"
    assert whole.headers["x-ratelimit-reset-requests"] == "1s"
    assert whole.headers["x-ratelimit-limit-tokens"] == "1000"
    assert whole.headers["x-ratelimit-remaining-tokens"] == "896"  # 4 for the prompt, and 100
    assert whole.headers["x-ratelimit-reset-tokens"] == "6.24s"
    streamed = await home.ask(stream=True)
    assert streamed.headers["x-ratelimit-remaining-requests"] == "58"
    wrong = await home.ask(temperature=9)
    assert (wrong.status_code, wrong.headers["x-ratelimit-remaining-requests"]) == (400, "58")
    listed = await home.client.get("/v1/models", headers={"x-key": "key"})
    assert listed.headers["x-ratelimit-remaining-requests"] == "58"


async def test_whoever_has_no_limits_sees_no_headers_of_limits() -> None:
    home = await house(key())
    for response in (await home.ask(), await home.client.post(CHAT, json=HELLO)):
        assert response.status_code == 200
        assert not any(name.startswith("x-ratelimit") for name in response.headers)


async def test_what_a_key_leaves_unsaid_is_the_settings_to_say() -> None:
    settings = settings_with(limits={"rates": {"requests_per_minute": 5, "tokens_per_minute": 500}})
    home = await house(key(requests_per_minute=7), settings=settings)
    headers = (await home.ask()).headers
    assert (headers["x-ratelimit-limit-requests"], headers["x-ratelimit-limit-tokens"]) == ("7", "500")
    assert (await home.client.post(CHAT, json=HELLO)).headers["x-ratelimit-limit-requests"] == "5"


async def test_keys_do_not_use_up_each_others_limits() -> None:
    home = await house(key("a", requests_per_minute=1), key("b", requests_per_minute=1))
    assert [(await home.ask(name)).status_code for name in "aabb"] == [200, 429, 200, 429]


async def test_a_request_that_can_never_be_met_says_that_a_retry_does_not_help() -> None:
    home = await house(key(tokens_per_minute=50))
    refused = await home.ask(max_tokens=51)
    assert (refused.status_code, refused.headers["x-should-retry"]) == (429, "false")
    error = refused.json()["error"]
    assert error["code"] == "rate_limit_exceeded"
    assert "limit of this key is 50 tokens a minute" in error["message"]
    assert "waiting does not help" in error["message"].lower()
    assert "retry-after" not in refused.headers
    # A length that nobody asked for is a guess, which must not make a request impossible.
    assert (await home.ask()).status_code == 200


WITH_USAGE = {"stream": True, "stream_options": {"include_usage": True}}


@pytest.mark.parametrize("options", [{}, {"stream": True}, WITH_USAGE])
async def test_what_was_reserved_is_settled_with_what_was_used(options: dict[str, Any]) -> None:
    home = await house(key(tokens_per_minute=1000))
    response = await home.ask(max_tokens=50, **options)
    assert response.headers["x-ratelimit-remaining-tokens"] == "946"
    left = await home.client.get("/v1/models", headers={"x-key": "key"})
    used = 3 if not options or "stream_options" in options else 4  # prompt: 3 words, or 13 characters by 4
    assert left.headers["x-ratelimit-remaining-tokens"] == str(1000 - used - 3)


async def test_a_failed_request_costs_no_tokens_and_frees_its_place() -> None:
    limited = key(tokens_per_minute=1000, concurrent_requests=1)
    home = await house(limited, fail_every=1)
    for stream in (False, True):
        assert (await home.ask(max_tokens=50, stream=stream)).status_code == 500
    left = await home.client.get("/v1/models", headers={"x-key": "key"})
    assert left.headers["x-ratelimit-remaining-tokens"] == "1000"
    assert home.gate.queue("echo").running == 0


async def test_embeddings_are_limited_as_chats_are() -> None:
    home = await house(key(requests_per_minute=1, tokens_per_minute=100))
    body = {"model": "hash", "input": ["a b", "c d e"]}
    first = await home.client.post("/v1/embeddings", json=body, headers={"x-key": "key"})
    assert (first.status_code, first.headers["x-ratelimit-remaining-requests"]) == (200, "0")
    second = await home.client.post("/v1/embeddings", json=body, headers={"x-key": "key"})
    assert (second.status_code, second.headers["x-ratelimit-remaining-tokens"]) == (429, "95")


async def test_anthropics_surface_is_limited_in_its_own_envelope() -> None:
    home = await house(key(requests_per_minute=1))
    body = {"model": "echo", "max_tokens": 5, "messages": [{"role": "user", "content": "one"}]}
    answers = [await home.client.post("/v1/messages", json=body, headers={"x-key": "key"}) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [200, 429]
    assert answers[1].json()["error"]["type"] == "rate_limit_error"
    assert answers[1].headers["retry-after"] == "60"


@pytest.mark.parametrize("stream", [False, True])
async def test_a_key_has_only_so_many_requests_at_once(stream: bool) -> None:
    home = await house(key(concurrent_requests=2), tokens=5, token_delay_s=0.005)
    answers = await asyncio.gather(*(home.ask(stream=stream) for _ in range(3)))
    assert sorted(answer.status_code for answer in answers) == [200, 200, 429]
    assert (await home.ask()).status_code == 200


def queued(**limits: Any) -> Settings:
    return settings_with(limits={"queue": {"at_once": 1}, **limits})


async def test_a_key_with_one_request_is_not_held_up_by_one_with_many() -> None:
    home = await house(key("greedy"), key("modest"), settings=queued(), tokens=2, token_delay_s=0.002)
    order: list[str] = []

    async def ask(name: str) -> None:
        assert (await home.ask(name)).status_code == 200
        order.append(name)

    greedy = [asyncio.create_task(ask("greedy")) for _ in range(10)]
    while home.gate.queue("echo").waiting < 9:  # noqa: ASYNC110 - nobody tells; it takes milliseconds
        await asyncio.sleep(0)
    await ask("modest")
    assert order.index("modest") <= 2
    await asyncio.gather(*greedy)


async def test_the_time_in_the_queue_is_told() -> None:
    home = await house(settings=queued())
    queue = home.gate.queue("echo")
    await queue.enter("other", Priority.INTERACTIVE, 1.0)
    leaving = asyncio.create_task(leave(queue, after_s=0.01))
    async with entering(home.gate) as admission:
        assert 0.005 < admission.waited_s < 30
    await leaving


async def leave(queue: ModelQueue, *, after_s: float) -> None:
    """Free the place that somebody has waited for so long."""
    await until(lambda: queue.waiting)
    await asyncio.sleep(after_s)
    queue.leave(Priority.INTERACTIVE)


async def test_the_time_in_the_queue_is_in_the_answers_timing() -> None:
    home = await house(settings=queued())
    queue = home.gate.queue("echo")
    await queue.enter("other", Priority.INTERACTIVE, 1.0)
    app = Timings(app_behind(home.gate, home.model, queued()))
    async with client_of(app) as client:  # type: ignore[arg-type]
        leaving = asyncio.create_task(leave(queue, after_s=0.01))
        told = (await client.post(CHAT, json=HELLO)).headers["x-heliostat-timing"]
        await leaving
    stages = dict(stage.split(";dur=") for stage in told.split(", "))
    assert float(stages["queue"]) > 5
    assert float(stages["gateway"]) <= float(stages["total"]) - float(stages["queue"]) + 0.02


async def test_a_client_that_is_refused_by_the_queue_gets_back_what_was_taken() -> None:
    settings = settings_with(limits={"queue": {"at_once": 1, "max_wait_ms": 5}})
    home = await house(key(requests_per_minute=2, tokens_per_minute=1000), settings=settings)
    queue = home.gate.queue("echo")
    await queue.enter("other", Priority.INTERACTIVE, 1.0)
    refused = await home.ask()
    assert (refused.status_code, refused.headers["retry-after"]) == (429, "1")
    left = await home.client.get("/v1/models", headers={"x-key": "key"})
    assert left.headers["x-ratelimit-remaining-requests"] == "2"
    assert left.headers["x-ratelimit-remaining-tokens"] == "1000"
    queue.leave(Priority.INTERACTIVE)
    assert queue.running == 0


async def test_batches_wait_in_the_background_and_are_not_limited_by_keys() -> None:
    home = await house(settings=queued())
    gate = home.gate.of_batches()
    limited = key(requests_per_minute=1)
    for _ in range(3):
        async with entering(gate, limited):
            assert home.gate.queue("echo").running == 1
    async with entering(gate, limited):
        later = asyncio.create_task(entering(gate, limited).__aenter__())
        await asyncio.sleep(0)
        person = asyncio.create_task(entering(home.gate).__aenter__())
        await asyncio.sleep(0)
    await person
    assert not later.done()
    await person.result().__aexit__(None, None, None)
    await (await later).__aexit__(None, None, None)


@pytest.mark.parametrize("stream", [False, True])
async def test_a_generation_that_takes_too_long_is_504_and_frees_the_engine(stream: bool) -> None:
    settings = settings_with(limits={"generation_timeout_ms": 20})
    home = await house(key(concurrent_requests=1), settings=settings, first_token_delay_s=5.0)
    response = await home.ask(stream=stream)
    assert (response.status_code, response.json()["error"]["code"]) == (504, GenerationTimeout.code)
    assert (home.model.engine.running, home.gate.queue("echo").running) == (0, 0)


async def test_a_stream_that_takes_too_long_ends_with_an_error_and_frees_the_engine() -> None:
    settings = settings_with(limits={"generation_timeout_ms": 30})
    home = await house(key(concurrent_requests=1), settings=settings, tokens=200, token_delay_s=0.01)
    response = await home.ask(stream=True)
    last = response.text.strip().split("\n\n")[-1]
    assert json.loads(last.removeprefix("data: "))["error"]["code"] == GenerationTimeout.code
    assert (home.model.engine.running, home.gate.queue("echo").running) == (0, 0)


async def test_closing_a_stream_frees_its_place_and_the_engine() -> None:
    home = await house(settings=queued(), tokens=200, token_delay_s=0.01)
    admission = entering(home.gate)
    body = json.dumps({**HELLO, "stream": True}).encode()
    events = streamed(admission, home.model.stream(ChatCall(body=body, request_id="r")))
    await anext(events)
    assert (home.model.engine.running, home.gate.queue("echo").running) == (1, 1)
    await events.aclose()
    assert (home.model.engine.running, home.gate.queue("echo").running) == (0, 0)


class Away:
    """A store that does not answer. asked: how often somebody tried."""

    asked = 0

    async def take(self, key: str, limits: Limits, *, tokens: int, lease: str) -> Verdict:
        self.asked += 1
        raise StoreAway("connection refused")

    def settle(self, key: str, limits: Limits, *, tokens: int, lease: str, requests: int = 0) -> None:
        raise AssertionError("nothing was taken")

    async def standing(self, key: str, limits: Limits) -> Standing:
        raise StoreAway("connection refused")

    async def close(self) -> None: ...


@pytest.mark.parametrize(("away", "status"), [("open", 200), ("closed", 503)])
async def test_while_the_store_is_away_requests_go_on_or_are_refused_as_the_settings_say(
    away: Any, status: int, model: LocalModel, caplog: pytest.LogCaptureFixture
) -> None:
    store = Away()
    gate = Gate(limiter=Limiter(store, away=away))
    async with client_of(
        app_behind(gate, model, settings_with(), key(requests_per_minute=1), key("free"))
    ) as client:
        with caplog.at_level(logging.WARNING, "deployments.gateway"):
            answers = [await client.post(CHAT, json=HELLO, headers={"x-key": "key"}) for _ in range(3)]
        assert [answer.status_code for answer in answers] == [status] * 3
        assert (await client.post(CHAT, json=HELLO, headers={"x-key": "free"})).status_code == 200
    assert store.asked == 1  # it is left alone for a second
    assert "rate limits cannot be counted" in caplog.text
    if away == "closed":
        assert answers[0].headers["retry-after"] == "1"


def test_gateways_that_count_each_by_itself_say_so(caplog: pytest.LogCaptureFixture) -> None:
    open_gate(settings_with(gateway={"replicas": 2}))
    assert not caplog.text  # where nothing is limited there is nothing to say
    open_gate(settings_with(gateway={"replicas": 2}, limits={"rates": {"requests_per_minute": 5}}))
    assert "2 gateways count limits each by itself" in caplog.text


def test_a_gateway_takes_its_part_of_a_models_places() -> None:
    models = [{"id": "echo", "engine": {"kind": "scripted"}, "replicas": {"max": 3, "max_ongoing": 5}}]
    queue = open_gate(settings_with(models=models, gateway={"replicas": 2})).queue("echo")
    taken = [queue._places.start(Priority.BACKGROUND) for _ in range(9)]
    assert taken.count(True) == 6  # three quarters of 8, of a background's kind
    assert [queue._places.start(Priority.INTERACTIVE) for _ in range(3)] == [True, True, False]


async def test_admission_costs_microseconds_where_nobody_waits() -> None:
    gate = (await house()).gate
    estimate, turns = Estimate(prompt=10), 300
    best = 1.0
    for _ in range(5):
        begun = time.thread_time()  # of this thread alone
        for _ in range(turns):
            async with gate.admit(LOCAL, "echo", priority=Priority.INTERACTIVE, estimate=estimate):
                pass
        best = min(best, (time.thread_time() - begun) / turns)
    assert best < 20e-6  # measured: 3; other work on the machine multiplies it
