import asyncio
import contextlib

import pytest

from cluster.errors import InvalidApiKey, Unavailable
from deployments.gateway.auth.recently import Recently


class LookUps:
    """Counts; `answer` is what it finds, or raises."""

    def __init__(self) -> None:
        self.count = 0
        self.answer: str | Exception = "ann"
        self.gate = asyncio.Event()
        self.gate.set()
        self.now = 100.0
        self.recent: Recently[str] = Recently(believed_s=4, size=2, clock=lambda: self.now)

    async def look(self) -> str:
        self.count += 1
        answer = self.answer
        await self.gate.wait()
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def find(self, key: str = "k") -> str:
        return await self.recent.find(key, self.look)


@pytest.fixture
def looked() -> LookUps:
    return LookUps()


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_what_was_just_found_is_not_looked_up_again(looked: LookUps) -> None:
    assert [await looked.find() for _ in range(10)] == ["ann"] * 10
    assert looked.count == 1


async def test_many_at_once_share_one_look_up(looked: LookUps) -> None:
    assert await asyncio.gather(*(looked.find() for _ in range(20))) == ["ann"] * 20
    assert looked.count == 1


async def test_a_change_is_seen_when_the_time_is_over(looked: LookUps) -> None:
    await looked.find()
    looked.answer = InvalidApiKey("revoked")
    looked.now += 4
    with pytest.raises(InvalidApiKey):
        await looked.find()


async def test_half_way_it_is_looked_up_beside_the_requests(looked: LookUps) -> None:
    await looked.find()
    looked.now += 2
    looked.answer = "bob"
    assert await looked.find() == "ann"
    await settle()
    assert (await looked.find(), looked.count) == ("bob", 2)
    looked.now += 3  # the second look-up counts from its own time
    assert await looked.find() == "bob"


async def test_a_credential_that_is_found_wrong_beside_the_requests_ends_at_once(looked: LookUps) -> None:
    await looked.find()
    looked.now += 2
    looked.answer = InvalidApiKey("revoked")
    await looked.find()
    await settle()
    with pytest.raises(InvalidApiKey):
        await looked.find()


async def test_a_wrong_credential_is_not_looked_up_again_either(looked: LookUps) -> None:
    looked.answer = InvalidApiKey("unknown")
    for _ in range(3):
        with pytest.raises(InvalidApiKey):
            await looked.find()
    assert looked.count == 1


async def test_a_database_that_fails_is_asked_again(looked: LookUps) -> None:
    looked.answer = Unavailable("locked")
    for _ in range(2):
        with pytest.raises(Unavailable):
            await looked.find()
    assert looked.count == 2


async def test_wrong_credentials_cannot_push_right_ones_out(looked: LookUps) -> None:
    await looked.find("good")
    looked.answer = InvalidApiKey("unknown")
    for number in range(5):
        with contextlib.suppress(InvalidApiKey):
            await looked.find(f"bad {number}")
    count = looked.count
    assert await looked.find("good") == "ann"
    assert looked.count == count


async def test_what_is_being_looked_up_when_rights_change_is_not_kept(looked: LookUps) -> None:
    looked.gate.clear()
    first = asyncio.ensure_future(looked.find())
    await settle()
    looked.recent.forget()
    looked.gate.set()
    await first
    looked.answer = InvalidApiKey("revoked")
    with pytest.raises(InvalidApiKey):
        await looked.find()


async def test_one_that_hangs_up_does_not_take_the_look_up_from_others(looked: LookUps) -> None:
    looked.gate.clear()
    gone, stays = asyncio.ensure_future(looked.find()), asyncio.ensure_future(looked.find())
    await settle()
    gone.cancel()
    looked.gate.set()
    assert await stays == "ann"
