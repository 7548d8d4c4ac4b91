import asyncio

from pipelines.sweeps.width import Width


async def test_never_more_than_the_width_are_in_flight() -> None:
    width, peak = Width(3), 0

    async def use() -> None:
        nonlocal peak
        async with width.slot():
            peak = max(peak, width.used)
            await asyncio.sleep(0)

    await asyncio.gather(*(use() for _ in range(20)))
    assert (peak, width.used) == (3, 0)


async def test_cells_that_meet_a_full_model_together_halve_the_width_once() -> None:
    width = Width(8)
    async with width.slot() as first, width.slot() as second:
        width.narrow(first)
        width.narrow(second)
    assert width.now == 4


async def test_it_never_closes_and_opens_again_by_one_for_each_width_of_successes() -> None:
    width = Width(4)
    for _ in range(5):
        async with width.slot() as generation:
            width.narrow(generation)
    assert width.now == 1
    width.widen()
    assert width.now == 2
    width.widen()
    width.widen()
    assert width.now == 3
    for _ in range(50):
        width.widen()
    assert width.now == 4


async def test_a_cancelled_waiter_leaves_its_place() -> None:
    width = Width(1)
    async with width.slot():
        waiting = asyncio.ensure_future(width.slot().__aenter__())
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.wait({waiting})
    async with asyncio.timeout(1), width.slot():
        assert width.used == 1
