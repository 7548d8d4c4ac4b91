import asyncio

import pytest

from cluster.engines.turns import Turns
from cluster.types import Priority

INTERACTIVE, BACKGROUND = Priority.INTERACTIVE, Priority.BACKGROUND


async def hold(turns: Turns, name: str, order: list[str], priority: Priority = INTERACTIVE) -> None:
    async with turns.turn(priority):
        order.append(name)
        await asyncio.sleep(0)


async def test_interactive_calls_go_first_and_each_kind_in_its_order() -> None:
    turns, order = Turns(), list[str]()
    async with turns.turn(BACKGROUND):
        waiting = [
            asyncio.create_task(hold(turns, name, order, priority))
            for name, priority in (("b1", BACKGROUND), ("i1", INTERACTIVE), ("b2", BACKGROUND), ("i2", INTERACTIVE))
        ]
        await asyncio.sleep(0.01)
        assert order == []
    await asyncio.gather(*waiting)
    assert order == ["i1", "i2", "b1", "b2"]


async def test_who_leaves_the_queue_keeps_nobody_waiting() -> None:
    turns, order = Turns(), list[str]()
    async with turns.turn(INTERACTIVE):
        leaver = asyncio.create_task(hold(turns, "leaver", order))
        stayer = asyncio.create_task(hold(turns, "stayer", order))
        await asyncio.sleep(0)
        leaver.cancel()
        await asyncio.sleep(0)
    await asyncio.wait_for(stayer, 10)
    assert order == ["stayer"]


async def test_a_turn_that_comes_as_its_holder_leaves_goes_on() -> None:
    turns, order = Turns(), list[str]()
    async with turns.turn(INTERACTIVE):
        leaver = asyncio.create_task(hold(turns, "leaver", order))
        stayer = asyncio.create_task(hold(turns, "stayer", order))
        await asyncio.sleep(0)
    leaver.cancel()  # its turn has come, and it has not run yet
    await asyncio.wait_for(stayer, 10)
    assert order == ["stayer"]


async def test_a_holder_that_fails_gives_its_turn_back() -> None:
    turns = Turns()
    with pytest.raises(ZeroDivisionError):
        async with turns.turn(INTERACTIVE):
            raise ZeroDivisionError
    await asyncio.wait_for(hold(turns, "next", []), 1)
