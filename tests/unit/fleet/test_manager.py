"""The fleet's manager over a deployer without a cluster: who waits, who goes, who is told what."""

import asyncio

import pytest

from cluster.errors import ModelInUse, ModelLoading, ModelNotFound, ModelTooLarge, NoRoom, Overloaded
from cluster.types import ModelState
from deployments.fleet import manager as managers
from tests.unit.fleet.managed import GIB, Loads, named, running, settled, using


async def test_a_model_is_loaded_by_the_first_claim_and_once() -> None:
    deployer = Loads()
    async with running(deployer) as manager:
        claims = await asyncio.gather(*(manager.claim("a", f"gateway-{number}") for number in range(20)))
        assert deployer.log == ["load a"]
        assert {claim.application for claim in claims} == {"model-a"}
        shown = named(manager, "a")
        assert shown is not None
        assert (shown.state, shown.in_use, shown.memory_gib) == (ModelState.READY, 20, GIB)


async def test_the_least_recently_used_goes_and_never_one_in_use() -> None:
    deployer = Loads()
    async with running(deployer, most=2) as manager:
        await manager.claim("a", "g")
        await manager.claim("b", "g")
        manager.release("b", "g")
        await manager.claim("c", "g")
        await settled(manager, "a", "c")
        assert deployer.log == ["load a", "load b", "load c", "unload b"]


async def test_a_model_waits_for_room_until_another_is_let_go_of() -> None:
    deployer = Loads()
    async with running(deployer, most=1) as manager:
        await manager.claim("a", "g")
        waiting = asyncio.create_task(manager.claim("b", "g"))
        await asyncio.sleep(0.02)
        assert deployer.log == ["load a"]
        manager.release("a", "g")
        await waiting
        await settled(manager, "b")


async def test_a_wait_for_room_ends_with_no_room_and_one_for_a_load_with_loading() -> None:
    deployer = Loads()
    deployer.held["slow"] = asyncio.Event()
    async with running(deployer, most=1) as manager:
        with pytest.raises(ModelLoading, match="slow has been loading for"):
            await manager.claim("slow", "g", wait_s=0.05)
        deployer.held["slow"].set()
        await manager.claim("slow", "g")
        with pytest.raises(NoRoom, match="b is not loaded: the models that are loaded are in use"):
            await manager.claim("b", "g", wait_s=0.05)


async def test_a_failed_load_tells_all_who_wait_and_costs_nobody_else_anything() -> None:
    deployer = Loads()
    deployer.broken.add("bad")
    async with running(deployer, most=1) as manager:
        await manager.claim("a", "g")
        manager.release("a", "g")
        answers = await asyncio.gather(*(manager.claim("bad", "g") for _ in range(3)), return_exceptions=True)
        assert [str(answer) for answer in answers] == ["bad is broken"] * 3
        assert named(manager, "a") is not None
        assert "unload a" not in deployer.log
        deployer.broken.clear()
        await manager.claim("bad", "g")  # the next one who asks has it tried again


async def test_what_can_never_be_loaded_is_refused_at_once() -> None:
    async with running(Loads()) as manager:
        with pytest.raises(ModelTooLarge, match=r"it takes 99\.0 GiB"):
            await manager.claim("huge", "g")
        with pytest.raises(ModelNotFound):
            await manager.claim("nowhere", "g")
        assert manager.loaded() == ()


async def test_too_many_that_wait_are_refused() -> None:
    deployer = Loads()
    deployer.held["a"] = asyncio.Event()
    async with running(deployer, max_waiting=2) as manager:
        waiting = [asyncio.create_task(manager.claim("a", str(number))) for number in range(2)]
        await asyncio.sleep(0.01)
        with pytest.raises(Overloaded, match="2 requests wait for a to load"):
            await manager.claim("a", "g")
        deployer.held["a"].set()
        await asyncio.gather(*waiting)


async def test_a_load_that_nobody_waits_for_any_more_does_not_begin() -> None:
    deployer = Loads()
    async with running(deployer, most=1) as manager:
        await manager.claim("a", "g")
        gone = asyncio.create_task(manager.claim("b", "g"))
        await asyncio.sleep(0.01)
        gone.cancel()
        await settled(manager, "a")  # at a look of the manager's
        manager.release("a", "g")
        await asyncio.sleep(0.05)
        assert deployer.log == ["load a"]


async def test_an_idle_model_goes_when_its_time_is_up() -> None:
    deployer = Loads()
    async with running(deployer, keep_alive_s=0.05) as manager:
        await manager.claim("a", "g")
        await asyncio.sleep(0.15)
        assert deployer.log == ["load a"]
        manager.release("a", "g")
        await settled(manager)
        assert deployer.log == ["load a", "unload a"]


async def test_a_silent_gateway_s_claim_lapses_and_a_renewed_one_does_not() -> None:
    now = 100.0
    async with running(Loads(), lease_s=0.6, keep_alive_s=0.0, clock=lambda: now) as manager:
        await manager.claim("a", "alive")
        await manager.claim("b", "dead")
        for _ in range(6):
            assert manager.renew((using("a", "alive"),)) == ()
            now += 0.25
            await asyncio.sleep(2 * managers.TICK_S)
        await settled(manager, "a")
        assert manager.renew((using("a", "alive"), using("b", "dead"))) == ("b",)


async def test_what_an_earlier_manager_loaded_is_taken_over() -> None:
    deployer = Loads("left")
    async with running(deployer) as manager:
        await manager.claim("left", "g")
        assert deployer.log == []


async def test_unloading_refuses_what_is_in_use_unless_forced() -> None:
    deployer = Loads()
    async with running(deployer, fixed=("always",)) as manager:
        await manager.claim("a", "g")
        with pytest.raises(ModelInUse, match="a is in use"):
            await manager.unload("a")
        with pytest.raises(ModelInUse, match="always is part of the configuration"):
            await manager.unload("always", force=True)
        await manager.unload("a", force=True)
        assert deployer.there == []
        await manager.unload("a")  # not loaded: nothing to do


async def test_a_pinned_model_stays_until_it_is_unpinned() -> None:
    deployer = Loads()
    async with running(deployer, most=2, keep_alive_s=0.0) as manager:
        assert (await manager.load("a", pin=True)).pinned
        await manager.claim("b", "g")
        manager.release("b", "g")
        await settled(manager, "a")
        await manager.load("a", pin=False)
        await settled(manager)


async def test_fifty_models_in_turn_with_room_for_three() -> None:
    deployer = Loads()
    async with running(deployer) as manager:
        for number in range(50):
            await manager.claim(f"m{number}", "g")
            manager.release(f"m{number}", "g")
        await settled(manager, "m47", "m48", "m49")
        assert deployer.most <= 4  # one more while it loads


async def test_churn_loses_no_request_and_evicts_nothing_in_use() -> None:
    deployer = Loads()
    used: dict[str, int] = {}
    unload = deployer.unload

    async def checked(name: str) -> None:
        assert not used.get(name), f"{name} was in use"
        await unload(name)

    deployer.unload = checked  # type: ignore[method-assign]
    async with running(deployer, at_once=2) as manager:

        async def client(number: int) -> None:
            for turn in range(25):
                name, holder = f"m{(number * 7 + turn * 3) % 10}", f"{number}-{turn}"
                await manager.claim(name, holder)
                used[name] = used.get(name, 0) + 1
                await asyncio.sleep(0.001)
                used[name] -= 1
                manager.release(name, holder)

        async with asyncio.timeout(30):
            await asyncio.gather(*(client(number) for number in range(8)))
        assert deployer.most <= 5


async def test_events_tell_what_happened_and_why() -> None:
    async with running(Loads(), most=1) as manager:
        await manager.claim("a", "g")
        manager.release("a", "g")
        await manager.claim("b", "g")
        await settled(manager, "b")
        told = [(event.model, event.what) for event in manager.events(0)]
        assert told[:3] == [("a", "wanted"), ("a", "loading"), ("a", "ready")]
        assert ("a", "unloading") in told
        leaving = next(event for event in manager.events(0) if event.what == "unloading")
        assert leaving.reason == "more models are loaded than may be, and it was used least recently"
        last = manager.events(0)[-1].number
        assert await manager.changed(last, 0.01) == ()
