"""A gateway's claims on the fleet's models."""

import asyncio
from collections import Counter
from typing import cast

import pytest

from cluster.errors import DeadlineExceeded, HeliostatError, LoadFailed, ModelLoading
from cluster.types import Claim, LoadedModel, ModelEvent, Using
from deployments.gateway.models import claims as claiming
from deployments.gateway.models.claims import Claims, Connection
from deployments.gateway.routing import journey
from tests.unit import waiting


class Manager:
    """The fleet, noting what it is asked."""

    def __init__(self, *, lease_s: float = 15.0) -> None:
        self.log: list[str] = []
        self.held: Counter[str] = Counter()
        self.void: set[str] = set()
        self.kept: list[float | None] = []
        self.wait = asyncio.Event()
        self.wait.set()
        self.failing: HeliostatError | None = None
        self.waits: list[float | None] = []
        self.uses: tuple[Using, ...] = ()
        self._lease_s = lease_s

    async def claim(self, name: str, holder: str, *, wait_s: float | None = None) -> Claim:
        self.log.append(f"claim {name}")
        self.waits.append(wait_s)
        await asyncio.sleep(0)
        await self.wait.wait()
        if self.failing is not None:
            raise self.failing
        self.held[name] += 1
        return Claim(application=f"model-{name}", load="1", lease_s=self._lease_s)

    async def renew(self, uses: tuple[Using, ...]) -> tuple[str, ...]:
        self.log.append("renew")
        self.uses = uses
        return tuple(use.model for use in uses if use.model in self.void)

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
    await waiting.until(lambda: manager.log[-1:] == [last])


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
    manager.failing = ModelLoading("not yet")
    claims = claims_of(manager)
    answers = await asyncio.gather(*(use(claims) for _ in range(3)), return_exceptions=True)
    assert [type(answer) for answer in answers] == [ModelLoading] * 3
    manager.failing = None
    assert await use(claims) == "model-a"
    assert manager.log[:2] == ["claim a", "claim a"]


async def test_one_who_hangs_up_takes_nobody_with_it_and_the_last_one_ends_the_wait() -> None:
    manager = Manager()
    manager.wait.clear()
    claims = claims_of(manager)
    first, second = asyncio.create_task(use(claims)), asyncio.create_task(use(claims))
    await until(manager, "claim a")
    first.cancel()
    manager.wait.set()
    assert await second == "model-a"
    manager.wait.clear()
    alone = asyncio.create_task(use(claims, "b"))
    await until(manager, "claim b")
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
        await waiting.until(lambda: not claims.holds("a"))
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


async def test_while_a_model_loads_each_request_waits_its_own_time() -> None:
    manager = Manager()
    manager.wait.clear()
    claims = claims_of(manager)
    asking = [asyncio.create_task(use_within(claims, wait_s)) for wait_s in (9.0, 5.0)]
    await waiting.until(lambda: len(manager.waits) == 2)
    manager.wait.set()
    assert await asyncio.gather(*asking) == ["model-a"] * 2
    assert manager.waits == [9.0, 5.0]
    await until(manager, "release a")
    assert manager.log.count("release a") == 1  # they asked under one name


async def use_within(claims: Claims, wait_s: float) -> object:
    async with claims.using("a", wait_s=wait_s) as model:
        return model


async def test_a_load_that_failed_is_not_tried_again_for_those_that_came_with_the_first() -> None:
    manager = Manager()
    manager.failing = LoadFailed("broken")
    claims = claims_of(manager)
    answers = await asyncio.gather(*(use(claims) for _ in range(5)), return_exceptions=True)
    assert [type(answer) for answer in answers] == [LoadFailed] * 5
    assert manager.log == ["claim a"]


async def test_a_client_s_own_deadline_ends_its_wait() -> None:
    manager = Manager()
    manager.wait.clear()
    claims = claims_of(manager)
    this = journey.Journey("r")
    this.read({"x-heliostat-timeout-ms": "30"}, asyncio.get_running_loop().time())
    token = journey._current.set(this)
    try:
        with pytest.raises(DeadlineExceeded):
            await use(claims)
    finally:
        journey._current.reset(token)


async def test_the_fleet_is_told_how_many_requests_each_model_has() -> None:
    manager, counts = Manager(), {"always": 0}
    claims = Claims(
        manager, lambda name: cast(Connection, Application(name)), linger_s=0.02, counted=lambda: counts
    )
    async with claims.using("a"), claims.using("a"):
        counts["always"] = 3
        await claims.tell()
        assert {use.model: use.requests for use in manager.uses} == {"a": 2, "always": 3}
    counts["always"] = 0
    await until(manager, "release a")
    await claims.tell()
    assert {use.model: use.requests for use in manager.uses} == {"always": 0}
    told = len(manager.log)
    await claims.tell()
    assert len(manager.log) == told  # nothing has changed


async def test_what_changes_is_told_within_a_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(claiming, "TOLD_S", 0.05)
    manager, counts = Manager(), {"always": 0}
    claims = Claims(
        manager, lambda name: cast(Connection, Application(name)), linger_s=0.02, counted=lambda: counts
    )
    claims.watch()
    await until(manager, "renew")
    counts["always"] = 1
    await waiting.until(lambda: manager.uses and manager.uses[-1].requests == 1)
    await claims.close()


async def test_a_load_in_the_background_needs_nobody_who_waits_and_is_tried_once_in_a_while() -> None:
    manager = Manager()
    claims = claims_of(manager)
    assert await claims.begin("a")  # it was loaded: its claim is here at once
    manager.wait.clear()
    assert not await claims.begin("b")
    assert not await claims.begin("b")
    assert manager.log == ["claim a", "claim b"]
    manager.failing = LoadFailed("broken")
    manager.wait.set()
    await asyncio.sleep(0.01)
    assert not await claims.begin("b")
    assert manager.log == ["claim a", "claim b"]
    await claims.close()


async def test_a_model_loaded_in_the_background_is_here_for_the_next_request(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(claiming, "MASK_S", 0.01)
    monkeypatch.setattr(claiming, "READY_S", 0.02)
    manager = Manager()
    manager.wait.clear()
    claims = claims_of(manager)
    assert not await claims.begin("a")
    manager.wait.set()
    await waiting.until(lambda: claims.holds("a"))
    assert await claims.begin("a")
    await until(manager, "release a")
