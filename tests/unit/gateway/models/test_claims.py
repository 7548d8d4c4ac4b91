"""A gateway's claims on the fleet's models."""

import asyncio
from collections import Counter
from typing import cast

import pytest

from cluster.errors import ModelLoading
from cluster.types import Claim, LoadedModel, ModelEvent
from deployments.gateway.models.claims import Claims, Connection


class Manager:
    """The fleet, noting what it is asked."""

    def __init__(self, *, lease_s: float = 15.0) -> None:
        self.log: list[str] = []
        self.held: Counter[str] = Counter()
        self.void: set[str] = set()
        self.kept: list[float | None] = []
        self.wait = asyncio.Event()
        self.wait.set()
        self.failing = False
        self._lease_s = lease_s

    async def claim(self, name: str, holder: str) -> Claim:
        self.log.append(f"claim {name}")
        await self.wait.wait()
        if self.failing:
            raise ModelLoading("not yet")
        self.held[name] += 1
        return Claim(application=f"model-{name}", load="1", lease_s=self._lease_s)

    async def renew(self, claims: tuple[tuple[str, str], ...]) -> tuple[str, ...]:
        self.log.append("renew")
        return tuple(name for name, _ in claims if name in self.void)

    async def release(self, name: str, holder: str, *, keep_alive_s: float | None) -> None:
        self.log.append(f"release {name}")
        self.kept.append(keep_alive_s)
        self.held[name] -= 1

    async def load(self, name: str, *, pin: bool | None, keep_alive_s: float | None) -> LoadedModel:
        raise NotImplementedError

    async def unload(self, name: str, *, force: bool) -> None:
        raise NotImplementedError

    async def loaded(self) -> tuple[LoadedModel, ...]:
        return ()

    async def changed(self, after: int, timeout_s: float) -> tuple[ModelEvent, ...]:
        return ()


def claims_of(manager: Manager, *, linger_s: float = 0.02) -> Claims:
    return Claims(manager, lambda application: cast(Connection, Application(application)), linger_s=linger_s)


class Application(str):
    """A client that is known by its application's name."""

    closed = False

    async def close(self) -> None:
        self.closed = True


async def use(claims: Claims, name: str = "a", *, for_s: float = 0.0, keep_alive_s: float | None = None) -> object:
    async with claims.using(name, keep_alive_s=keep_alive_s) as model:
        await asyncio.sleep(for_s)
        return model


async def until(manager: Manager, last: str) -> None:
    async with asyncio.timeout(5):
        while not manager.log or manager.log[-1] != last:  # noqa: ASYNC110 - the fake tells nobody
            await asyncio.sleep(0.005)


async def test_requests_at_the_same_time_make_one_claim_that_ends_after_the_last() -> None:
    manager = Manager()
    claims = claims_of(manager)
    assert set(await asyncio.gather(*(use(claims, for_s=0.05) for _ in range(9)))) == {"model-a"}
    assert manager.log == ["claim a"]
    await until(manager, "release a")
    assert manager.held["a"] == 0


async def test_a_request_within_the_linger_asks_nobody() -> None:
    manager = Manager()
    claims = claims_of(manager, linger_s=5.0)
    for _ in range(20):
        await use(claims)
    assert manager.log == ["claim a"]
    assert claims.holds("a")


async def test_a_claim_is_not_let_go_of_while_a_request_is_open() -> None:
    manager = Manager()
    claims = claims_of(manager, linger_s=0.01)
    async with claims.using("a"):
        await use(claims)
        await asyncio.sleep(0.05)
        assert manager.log == ["claim a"]
    await until(manager, "release a")


async def test_a_failure_reaches_all_who_wait_and_the_next_one_asks_again() -> None:
    manager = Manager()
    manager.failing = True
    claims = claims_of(manager)
    answers = await asyncio.gather(*(use(claims) for _ in range(3)), return_exceptions=True)
    assert [type(answer) for answer in answers] == [ModelLoading] * 3
    manager.failing = False
    assert await use(claims) == "model-a"
    assert manager.log[:2] == ["claim a", "claim a"]


async def test_one_who_hangs_up_takes_nobody_with_it_and_the_last_one_ends_the_wait() -> None:
    manager = Manager()
    manager.wait.clear()
    claims = claims_of(manager)
    first, second = asyncio.create_task(use(claims)), asyncio.create_task(use(claims))
    await asyncio.sleep(0.01)
    first.cancel()
    manager.wait.set()
    assert await second == "model-a"
    manager.wait.clear()
    alone = asyncio.create_task(use(claims, "b"))
    await asyncio.sleep(0.01)
    alone.cancel()
    await asyncio.gather(alone, return_exceptions=True)
    manager.wait.set()
    await asyncio.sleep(0.02)
    assert manager.held["b"] == 0


async def test_a_claim_in_use_is_renewed_and_a_void_one_is_made_anew() -> None:
    manager = Manager(lease_s=0.15)
    claims = claims_of(manager)
    async with claims.using("a"):
        await until(manager, "renew")
        manager.void.add("a")
        async with asyncio.timeout(5):
            while claims.holds("a"):  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        await use(claims)
        assert manager.log.count("claim a") == 2


async def test_a_keep_alive_is_told_with_the_release() -> None:
    manager = Manager()
    claims = claims_of(manager)
    await use(claims, keep_alive_s=0.0)
    await until(manager, "release a")
    assert manager.kept == [0.0]


@pytest.mark.parametrize("keep_alive_s", [None, 600.0])
async def test_what_is_not_said_changes_nothing(keep_alive_s: float | None) -> None:
    manager = Manager()
    claims = claims_of(manager)
    await use(claims, keep_alive_s=keep_alive_s)
    await until(manager, "release a")
    assert manager.kept == [keep_alive_s]
