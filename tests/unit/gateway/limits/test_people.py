"""Limits of a person, which all their keys share with them."""

import pytest

from deployments.gateway.limits.account import Standing, tighter
from deployments.gateway.limits.gate import Gate
from deployments.gateway.limits.limiter import Limiter, Refused
from deployments.gateway.limits.memory import MemoryLimits
from deployments.gateway.limits.usage import Estimate
from deployments.gateway.principal import Limits, Principal, Role
from tests.unit.gateway.conftest import client_of, settings_with, started
from tests.unit.gateway.limits.conftest import HELLO, app_behind

SMALL = Estimate(prompt=10, answer=10)


def of_ann(key: str, *, own: Limits = Limits(), **shared: int) -> Principal:  # noqa: B008 - frozen
    return Principal(id=key, owner="ann", role=Role.USER, limits=own, owner_limits=Limits(**shared))


async def test_keys_of_one_person_share_that_persons_limit() -> None:
    limiter = Limiter(MemoryLimits())
    assert await limiter.take(of_ann("one", requests_per_minute=2), SMALL)
    assert await limiter.take(of_ann("ann", requests_per_minute=2), SMALL)
    with pytest.raises(Refused) as refused:
        await limiter.take(of_ann("two", requests_per_minute=2), SMALL)
    assert "2 requests a minute for this account" in refused.value.error.message


async def test_a_request_that_the_person_may_not_make_costs_the_key_nothing() -> None:
    limiter = Limiter(MemoryLimits())
    full = of_ann("other", tokens_per_minute=25)
    assert await limiter.take(full, SMALL)
    key = of_ann("one", own=Limits(requests_per_minute=1, concurrent_requests=1), tokens_per_minute=25)
    with pytest.raises(Refused):
        await limiter.take(key, SMALL)
    alone = Principal(id="one", owner="ann", role=Role.USER, limits=key.limits)
    assert await limiter.take(alone, SMALL), "the key's one request and its place are there"


async def test_settling_gives_back_to_both() -> None:
    limiter = Limiter(MemoryLimits())
    key = of_ann("one", own=Limits(tokens_per_minute=100, concurrent_requests=1), tokens_per_minute=50)
    lease = await limiter.take(key, SMALL)
    assert lease is not None
    assert lease.counted
    limiter.settle(lease, 5)
    standing = await limiter.standing(key)
    assert standing is not None
    assert 45 <= standing.tokens < 45.5
    assert await limiter.take(key, SMALL)


async def test_the_headers_tell_of_the_limit_of_which_less_is_left() -> None:
    key = of_ann("one", own=Limits(requests_per_minute=10, tokens_per_minute=9), requests_per_minute=3)
    gate = Gate(limiter=Limiter(MemoryLimits()))
    app = app_behind(gate, await started(), settings_with(), key)
    async with client_of(app) as client:
        answer = await client.post(
            "/v1/chat/completions", json={**HELLO, "max_tokens": 3}, headers={"x-key": "one"}
        )
    assert answer.status_code == 200
    assert answer.headers["x-ratelimit-limit-requests"] == "3"
    assert answer.headers["x-ratelimit-remaining-requests"] == "2"
    assert answer.headers["x-ratelimit-limit-tokens"] == "9"


async def test_over_a_persons_limit_is_429_as_over_a_keys() -> None:
    key = of_ann("one", requests_per_minute=1)
    app = app_behind(Gate(limiter=Limiter(MemoryLimits())), await started(), settings_with(), key)
    async with client_of(app) as client:
        answers = [await client.post("/v1/chat/completions", json=HELLO, headers={"x-key": "one"}) for _ in "ab"]
    assert [answer.status_code for answer in answers] == [200, 429]
    assert answers[1].json()["error"]["code"] == "rate_limit_exceeded"
    assert int(answers[1].headers["retry-after"]) >= 1
    assert answers[1].headers["x-ratelimit-remaining-requests"] == "0"


@pytest.mark.parametrize(
    ("own", "shared", "in_force"),
    [
        (None, None, [("one", 5)]),
        (2, None, [("one", 2)]),
        (None, 9, [("ann/all", 9)]),
        (2, 9, [("one", 2), ("ann/all", 9)]),
    ],
)
def test_a_default_holds_where_neither_key_nor_person_says_anything(
    own: int | None, shared: int | None, in_force: list[tuple[str, int]]
) -> None:
    limiter = Limiter(MemoryLimits(), defaults=Limits(requests_per_minute=5))
    who = Principal(
        id="one",
        owner="ann",
        role=Role.USER,
        limits=Limits(requests_per_minute=own),
        owner_limits=Limits(requests_per_minute=shared),
    )
    assert [(bound.key, bound.limits.requests_per_minute) for bound in limiter.bounds_of(who)] == in_force


def test_of_two_standings_each_limits_tighter_one_is_told() -> None:
    one = Standing(limits=Limits(requests_per_minute=9), requests=1.0)
    other = Standing(limits=Limits(requests_per_minute=5, tokens_per_minute=7), requests=2.0, tokens=3.0)
    found = tighter(one, other)
    assert found.limits == Limits(requests_per_minute=9, tokens_per_minute=7)
    assert (found.requests, found.tokens) == (1.0, 3.0)


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/tokenize", {"model": "echo", "prompt": "one"}),
        ("/tokenize", {"model": "hash", "prompt": "one"}),
        ("/v1/score", {"model": "hash", "text_1": "a", "text_2": "b"}),
        ("/v1/rerank", {"model": "hash", "query": "a", "documents": ["b"]}),
        ("/v1/messages/count_tokens", {"model": "echo", "messages": HELLO["messages"]}),
    ],
)
async def test_what_is_no_generation_counts_as_a_request(path: str, body: dict[str, object]) -> None:
    key = Principal(id="k", owner="o", role=Role.USER, limits=Limits(requests_per_minute=1, tokens_per_minute=500))
    app = app_behind(Gate(limiter=Limiter(MemoryLimits())), await started(), settings_with(), key)
    async with client_of(app) as client:
        answers = [await client.post(path, json=body, headers={"x-key": "k"}) for _ in "ab"]
    assert [answer.status_code for answer in answers] == [200, 429]
    assert answers[0].headers["x-ratelimit-remaining-requests"] == "0"


async def test_counting_tokens_takes_none_and_waits_for_no_place() -> None:
    key = Principal(id="k", owner="o", role=Role.USER, limits=Limits(tokens_per_minute=50))
    app = app_behind(Gate(limiter=Limiter(MemoryLimits())), await started(), settings_with(), key)
    async with client_of(app) as client:
        answer = await client.post(
            "/tokenize", json={"model": "echo", "prompt": "w " * 900}, headers={"x-key": "k"}
        )
    assert answer.status_code == 200
    assert answer.headers["x-ratelimit-remaining-tokens"] == "50"


async def test_detokenizing_is_counted_too() -> None:
    key = Principal(id="k", owner="o", role=Role.USER, limits=Limits(requests_per_minute=1))
    app = app_behind(Gate(limiter=Limiter(MemoryLimits())), await started(), settings_with(), key)
    async with client_of(app) as client:
        sent = {"model": "echo", "tokens": [1]}
        answers = [await client.post("/detokenize", json=sent, headers={"x-key": "k"}) for _ in "ab"]
    assert answers[0].status_code == 400, "the scripted engine has no vocabulary"
    assert answers[1].status_code == 429
