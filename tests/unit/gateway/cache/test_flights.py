"""What is generated once for several who ask for it at the same time, and who may leave it."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing

import pytest

from cluster.errors import EngineFailure
from deployments.gateway.cache.flights import Flight, Flights


class Source:
    """Items that come when the test lets them. ended: whether its generator was closed."""

    def __init__(self) -> None:
        self.items: asyncio.Queue[bytes | Exception | None] = asyncio.Queue()
        self.begun = 0
        self.ended = False
        self.taken = 0

    async def make(self, flight: Flight) -> AsyncGenerator[bytes, None]:
        self.begun += 1
        try:
            while (item := await self.items.get()) is not None:
                if isinstance(item, Exception):
                    raise item
                self.taken += 1
                yield item
        finally:
            await asyncio.sleep(0)
            self.ended = True

    def give(self, *items: bytes | Exception | None) -> None:
        for item in items:
            self.items.put_nowait(item)


async def at_once() -> None:
    pass


async def turns(count: int = 20) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


async def all_of(flight: Flight) -> list[bytes]:
    return [item async for item in flight.follow()]


def begun(source: Source, *, max_bytes: int = 1000) -> tuple[Flights, Flight]:
    flights = Flights(max_bytes=max_bytes)
    return flights, flights.begin("a", source.make, at_once)


async def test_all_followers_have_every_item_whenever_they_came() -> None:
    source = Source()
    flights, flight = begun(source)
    first = asyncio.create_task(all_of(flight))
    source.give(b"1", b"2")
    await turns()
    second = asyncio.create_task(all_of(flight))
    source.give(b"3", None)
    assert await asyncio.gather(first, second) == [[b"1", b"2", b"3"]] * 2
    assert (source.begun, flight.complete) == (1, True)
    await flights.settled()
    assert flights.find("a") is None


async def test_whoever_began_it_may_leave() -> None:
    source = Source()
    _, flight = begun(source)
    first, second = (asyncio.create_task(all_of(flight)) for _ in range(2))
    source.give(b"1")
    await turns()
    first.cancel()
    source.give(b"2", None)
    assert await second == [b"1", b"2"]
    assert first.cancelled()


async def test_the_last_who_leaves_stops_it_and_returns_when_it_has_stopped() -> None:
    source = Source()
    flights, flight = begun(source)
    followers = [asyncio.create_task(all_of(flight)) for _ in range(2)]
    source.give(b"1")
    await turns()
    followers[0].cancel()
    await turns()
    assert not source.ended
    followers[1].cancel()
    with pytest.raises(asyncio.CancelledError):
        await followers[1]
    assert source.ended
    assert (len(flights), flight.followers, flight.complete) == (0, 0, False)


async def test_closing_a_follower_is_leaving() -> None:
    source = Source()
    _, flight = begun(source)
    source.give(b"1")
    async with aclosing(flight.follow()) as items:
        assert await anext(items) == b"1"
    assert source.ended


async def test_a_failure_ends_everybody_and_says_why() -> None:
    source = Source()
    flights, flight = begun(source)
    followers = [asyncio.create_task(all_of(flight)) for _ in range(2)]
    error = EngineFailure("no")
    source.give(b"1", error)
    assert await asyncio.gather(*followers) == [[b"1"], [b"1"]]
    assert (flight.complete, flight.failure) == (False, error)
    assert flights.find("a") is None


async def test_it_can_be_found_until_what_it_made_is_stored() -> None:
    source, stored = Source(), asyncio.Event()

    async def landed() -> None:
        await stored.wait()

    flights = Flights(max_bytes=1000)
    flight = flights.begin("a", source.make, landed)
    source.give(b"1", None)
    assert await all_of(flight) == [b"1"]
    assert flights.find("a") is flight
    assert await all_of(flight) == [b"1"]
    stored.set()
    await flights.settled()
    assert flights.find("a") is None


async def test_over_its_bound_newcomers_are_too_late_and_the_slowest_sets_the_pace() -> None:
    source = Source()
    flights, flight = begun(source, max_bytes=2)
    slow = flight.follow()
    fast = asyncio.create_task(all_of(flight))
    source.give(b"11", b"2", b"3", b"4", None)
    assert await anext(slow) == b"11"
    await turns()
    assert flights.find("a") is None
    assert source.taken == 2  # the second was over the bound, and the slow one has not read it
    assert [item async for item in slow] == [b"2", b"3", b"4"]
    assert await fast == [b"11", b"2", b"3", b"4"]
    assert flight.complete


async def test_a_slow_one_that_leaves_does_not_hold_the_others() -> None:
    source = Source()
    _, flight = begun(source, max_bytes=0)
    slow = flight.follow()
    fast = asyncio.create_task(all_of(flight))
    source.give(b"1", b"2", b"3", None)
    await anext(slow)
    await turns()
    assert not fast.done()
    await slow.aclose()
    assert await fast == [b"1", b"2", b"3"]
