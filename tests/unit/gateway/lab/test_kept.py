import asyncio

import pytest

from deployments.gateway.lab import kept
from deployments.gateway.lab.kept import Kept
from tests.unit.waiting import until


class Counted:
    """Makes a number that counts how often it was asked to."""

    def __init__(self) -> None:
        self.made = 0
        self.go_on = asyncio.Event()
        self.go_on.set()

    async def __call__(self) -> int:
        self.made += 1
        number = self.made
        await self.go_on.wait()
        return number


async def test_a_value_is_made_once_for_a_state() -> None:
    values, make = Kept(9), Counted()
    assert [await values.get("a", "s", make) for _ in range(3)] == [1, 1, 1]
    assert await values.get("a", "t", make) == 2


async def test_two_that_ask_at_once_wait_for_one() -> None:
    values, make = Kept(9), Counted()
    make.go_on.clear()
    both = [asyncio.create_task(values.get("a", "s", make)) for _ in range(2)]
    await until(lambda: make.made)
    both[0].cancel()  # the other still gets it
    make.go_on.set()
    assert await both[1] == 1


async def test_what_grows_is_told_at_once_and_made_again_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept, "FRESH_S", 0.0)
    monkeypatch.setattr(kept, "FACTOR", 0)
    values, make = Kept(9), Counted()
    assert await values.get("a", "1", make, growing=True) == 1
    make.go_on.clear()
    assert await values.get("a", "2", make, growing=True) == 1
    assert await values.get("a", "3", make, growing=True) == 1
    make.go_on.set()
    await until(lambda: not values._running)
    assert (await values.get("a", "2", make), make.made) == (2, 2)


async def test_a_fresh_value_of_what_grows_is_not_made_again() -> None:
    values, make = Kept(9), Counted()
    for state in "123":
        assert await values.get("a", state, make, growing=True) == 1
    assert await values.get("a", "3", make) == 2  # it grows no more


async def test_an_error_is_not_kept() -> None:
    values, make = Kept(9), Counted()

    async def broken() -> int:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        await values.get("a", "s", broken)
    assert await values.get("a", "s", make) == 1


async def test_the_longest_unused_goes() -> None:
    values, make = Kept(2), Counted()
    for key in "abac":
        await values.get(key, "s", make)
    assert await values.get("a", "s", make) == 1
    assert await values.get("b", "s", make) == 4
