"""Requests that ask the same at once, through the app: one generation, and each has its answer or its own try."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from cluster.errors import EngineFailure
from cluster.types import ChatCall, Priority
from deployments.gateway.cache import answers
from deployments.gateway.principal import LOCAL
from tests.unit.gateway.cache.house import ASKED, Counted, House, outcome, said
from tests.unit.gateway.conftest import started


class Held(Counted):
    """A model that answers when the test lets it. failures: of its first calls."""

    failures = 0

    def __init__(self, engine: Any) -> None:
        super().__init__(engine)
        self.free = asyncio.Event()
        self.began = asyncio.Event()
        self.stopped = 0

    async def chat(self, call: ChatCall) -> bytes:
        self.asked += 1
        await self._held(self.asked)
        return await self.engine.chat(call)

    async def stream(self, call: ChatCall) -> AsyncIterator[bytes]:
        self.asked += 1
        await self._held(self.asked)
        async for item in self.engine.stream(call):
            yield item

    async def _held(self, turn: int) -> None:
        self.began.set()
        try:
            await self.free.wait()
        except asyncio.CancelledError:
            self.stopped += 1
            raise
        if turn <= self.failures:
            raise EngineFailure("once")


@pytest.fixture
async def held() -> AsyncIterator[House]:
    house = House(Held((await started()).engine))
    async with house.client:
        yield house


async def whole(house: House) -> bytes:
    checked = await house.chats.check(json.dumps(ASKED).encode(), request_id="r", principal=LOCAL)
    return await house.chats.whole(checked)


async def under_way(house: House, count: int) -> None:
    """Wait until so many wait for the one generation."""
    assert isinstance(house.model, Held)
    await house.model.began.wait()
    assert house.chats.caches is not None
    flights = house.chats.caches.answers.flights
    for _ in range(10_000):
        if sum(flight.followers for flight in flights._flights.values()) >= count:
            return
        await asyncio.sleep(0)
    raise AssertionError("they did not come together")


@pytest.mark.parametrize("stream", [False, True])
async def test_fifty_at_once_are_one_generation(house: House, stream: bool) -> None:
    found = await asyncio.gather(*(house.ask(stream=stream) for _ in range(50)))
    assert house.model.asked == 1
    assert sorted(str(outcome(answer)) for answer in found) == ["hit"] * 49 + ["miss"]
    assert len({answer.text for answer in found}) == 1
    assert outcome(await house.ask(stream=stream)) == "hit"


async def test_other_owners_are_not_waited_for(held: House) -> None:
    asking = [asyncio.create_task(held.ask({"x-owner": owner})) for owner in ("a", "a", "b", "b")]
    await under_way(held, 4)
    assert held.model.asked == 2
    held.model.free.set()  # type: ignore[attr-defined]
    found = await asyncio.gather(*asking)
    assert sorted(str(outcome(answer)) for answer in found) == ["hit", "hit", "miss", "miss"]


async def test_nobody_waits_for_what_is_done_in_the_background(held: House) -> None:
    body = json.dumps(ASKED).encode()
    later = await held.chats.check(body, request_id="r", principal=LOCAL, priority=Priority.BACKGROUND)
    asking = [asyncio.create_task(held.chats.whole(later)), asyncio.create_task(whole(held))]
    await under_way(held, 2)
    held.model.free.set()  # type: ignore[attr-defined]
    await asyncio.gather(*asking)
    assert held.model.asked == 2


async def test_the_first_may_hang_up_and_the_others_have_its_answer(held: House) -> None:
    first, *others = [asyncio.create_task(whole(held)) for _ in range(4)]
    await under_way(held, 4)
    first.cancel()
    await asyncio.wait({first})
    held.model.free.set()  # type: ignore[attr-defined]
    found = await asyncio.gather(*others)
    assert (held.model.asked, held.model.stopped, len(set(found))) == (1, 0, 1)  # type: ignore[attr-defined]


async def test_when_all_hang_up_the_generation_stops_and_the_next_asks_anew(held: House) -> None:
    asking = [asyncio.create_task(whole(held)) for _ in range(3)]
    await under_way(held, 3)
    for one in asking:
        one.cancel()
    await asyncio.wait(asking)
    assert held.model.stopped == 1  # type: ignore[attr-defined]
    held.model.free.set()  # type: ignore[attr-defined]
    assert outcome(await held.ask()) == "miss"


@pytest.mark.parametrize("stream", [False, True])
async def test_an_error_is_the_firsts_alone_and_the_others_ask_for_themselves(held: House, stream: bool) -> None:
    held.model.failures = 1  # type: ignore[attr-defined]
    first = asyncio.create_task(held.ask(stream=stream))
    await under_way(held, 1)
    others = [asyncio.create_task(held.ask(stream=stream)) for _ in range(3)]
    await under_way(held, 4)
    held.model.free.set()  # type: ignore[attr-defined]
    assert (await first).status_code == 500
    for other in others:
        answer = await other
        assert (answer.status_code, outcome(answer)) == (200, "miss")
    assert held.model.asked == 4
    assert outcome(await held.ask(stream=stream)) == "hit"


async def test_a_stream_that_breaks_breaks_for_all_who_have_some_of_it() -> None:
    house = House(Counted((await started(fail_after_tokens=1, token_delay_s=0.005)).engine))
    async with house.client:
        found = await asyncio.gather(*(house.ask(stream=True) for _ in range(3)))
    assert house.model.asked == 1
    assert all('"error"' in answer.text for answer in found)


async def test_a_late_stream_has_all_tokens_from_the_first() -> None:
    house = House(Counted((await started(token_delay_s=0.01)).engine))
    checked = await house.chats.check(json.dumps(ASKED).encode(), request_id="r", principal=LOCAL)
    first = house.chats.events(checked)
    await anext(first)
    async with house.client:
        second = asyncio.create_task(house.ask(stream=True))
        rest = [item async for item in first]
        assert (outcome(await second), said(await second), house.model.asked) == ("hit", "one two three", 1)
    assert len(rest) > 1


async def test_no_cache_waits_for_nobody(held: House) -> None:
    asking = [asyncio.create_task(held.ask()) for _ in range(2)]
    await under_way(held, 2)
    held.model.free.set()  # type: ignore[attr-defined]
    anew = await held.ask({"cache-control": "no-cache"})
    assert outcome(anew) == "miss"
    await asyncio.gather(*asking)
    assert held.model.asked == 2


async def test_only_so_many_wait_for_one(held: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answers, "FOLLOWERS", 2)
    asking = [asyncio.create_task(held.ask()) for _ in range(2)]
    await under_way(held, 2)
    third = asyncio.create_task(held.ask())
    for _ in range(10_000):
        if held.model.asked == 2:
            break
        await asyncio.sleep(0)
    held.model.free.set()  # type: ignore[attr-defined]
    assert outcome(await third) == "miss"
    await asyncio.gather(*asking)
    assert held.model.asked == 2
