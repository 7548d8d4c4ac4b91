import asyncio
from collections.abc import AsyncIterator

import pytest

from deployments.fleet.coalesce import Coalescer


async def numbers(count: int, pause_s: float = 0.0) -> AsyncIterator[bytes]:
    for number in range(count):
        await asyncio.sleep(pause_s)
        yield b"%d," % number


async def test_every_byte_arrives_once_and_in_order() -> None:
    items = [item async for item in Coalescer(max_events=50).join(numbers(500))]
    assert b"".join(items) == b"".join([item async for item in numbers(500)])


async def test_the_first_event_leaves_alone_and_at_once() -> None:
    joined = Coalescer(max_events=50, items_per_s=0.1).join(numbers(3, pause_s=0.01))
    async with asyncio.timeout(5):
        assert await anext(joined) == b"0,"
    await joined.aclose()


async def test_under_load_events_share_items() -> None:
    coalescer = Coalescer(max_events=50, items_per_s=1)  # over before its second item, or seconds late
    items = [item async for item in coalescer.join(numbers(20, pause_s=0.005))]
    assert len(items) < 10


async def test_no_item_holds_more_events_than_allowed() -> None:
    items = [item async for item in Coalescer(max_events=3, items_per_s=5).join(numbers(10))]
    assert max(item.count(b",") for item in items) <= 3


async def test_a_failure_comes_after_the_events_before_it() -> None:
    async def failing() -> AsyncIterator[bytes]:
        yield b"first"
        raise ValueError("broken")

    joined = Coalescer(max_events=50).join(failing())
    assert await anext(joined) == b"first"
    with pytest.raises(ValueError, match="broken"):
        await anext(joined)


async def test_closing_it_closes_the_source() -> None:
    closed = asyncio.Event()

    async def endless() -> AsyncIterator[bytes]:
        try:
            while True:
                yield b"x"
                await asyncio.sleep(0.001)
        finally:
            closed.set()

    coalescer = Coalescer(max_events=50)
    joined = coalescer.join(endless())
    await anext(joined)
    await joined.aclose()
    assert closed.is_set()
    assert coalescer.streams == 0
