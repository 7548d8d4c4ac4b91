import asyncio

from cluster.settings.pipelines import SweepSettings
from pipelines.sweeps.width import BESIDE_S, Width


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
    async with asyncio.timeout(10), width.slot():
        assert width.used == 1


async def test_it_is_narrow_while_people_use_the_model_and_a_while_after() -> None:
    now = 100.0
    width = Width(8, 2, clock=lambda: now)
    assert width.now == 8
    width.people()
    assert width.now == 2
    now += BESIDE_S - 0.1
    assert width.now == 2
    width.people()
    now += BESIDE_S - 0.1
    assert width.now == 2
    now += 0.1
    width.nobody()
    assert width.now == 8


async def test_it_stays_narrow_until_a_cell_has_met_nobody_however_long_that_takes() -> None:
    """Time widened it: where cells take long, the end of one let all that waited go off at once, beside people."""
    now = 100.0
    width = Width(8, 2, clock=lambda: now)
    width.people()
    width.nobody()  # on another replica, where nobody is
    assert width.now == 2
    now += 20 * BESIDE_S
    assert width.now == 2
    width.nobody()
    assert width.now == 8


async def test_cells_beside_people_wait_until_there_are_few_enough() -> None:
    width = Width(3, 1)
    async with width.slot():
        async with width.slot():
            width.people()
            waiting = asyncio.ensure_future(width.slot().__aenter__())
            await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert not waiting.done()
    async with asyncio.timeout(10):
        await waiting
    assert width.used == 1


async def test_the_width_beside_people_widens_nothing() -> None:
    width = Width(2, 8)
    width.people()
    assert width.now == 2


def test_beside_people_a_quarter_is_in_flight_unless_the_settings_say_how_many() -> None:
    assert [SweepSettings(in_flight=n).width_beside_people for n in (4, 8, 32, 128)] == [4, 8, 8, 32]
    assert SweepSettings(in_flight=64, beside_people=3).width_beside_people == 3
    assert SweepSettings(in_flight=4, beside_people=8).width_beside_people == 4
