"""The fleet's manager where memory and GPUs are short, and what it tells of that."""

import asyncio

import pytest

from cluster.errors import OutOfMemory
from tests.unit.fleet.managed import GIB, Loads, named, running, using


async def test_a_load_that_runs_out_of_memory_is_tried_once_more_without_the_idle_models() -> None:
    deployer = Loads()
    deployer.large["big"] = 1
    async with running(deployer, most=9) as manager:
        for name in ("used", "old", "new"):
            await manager.claim(name, "g")
        manager.release("old", "g")
        manager.release("new", "g")
        await manager.claim("big", "g")
        assert deployer.there == ["used", "big"]
        assert deployer.log[3:] == ["load big", "unload old", "unload new", "load big"]
        (again,) = [event for event in manager.events(0) if event.what == "again"]
        assert (again.code, again.inputs["freed"], again.inputs["in_use"]) == (
            "out_of_memory", ("old", "new"), ("used",),
        )  # fmt: skip


async def test_without_memory_after_that_the_load_has_failed_and_says_so() -> None:
    deployer = Loads()
    deployer.large["big"] = -1
    async with running(deployer, most=9) as manager:
        with pytest.raises(OutOfMemory, match="big is large"):
            await manager.claim("big", "g")  # there is nobody to unload: not even tried again
        await manager.claim("a", "g")
        manager.release("a", "g")
        with pytest.raises(OutOfMemory):
            await manager.claim("big", "g")
        assert deployer.log == ["load big", "load a", "load big", "unload a", "load big"]
        assert named(manager, "big") is None


async def test_requests_in_use_are_those_that_the_gateways_tell_of() -> None:
    async with running(Loads(), fixed=("always",)) as manager:
        await manager.claim("a", "one")
        await manager.claim("a", "two")
        shown = named(manager, "a")
        assert shown is not None
        assert shown.in_use == 2  # nobody has said how many
        assert manager.renew((using("a", "one", 5), using("always", "one", 2), using("always", "two", 1))) == ()
        assert {one.id: one.in_use for one in manager.loaded()} == {"a": 6, "always": 3}
        assert manager.renew((using("always", "one", 0),)) == ()
        assert {one.id: one.in_use for one in manager.loaded()} == {"a": 6, "always": 1}


async def test_what_waits_says_what_for() -> None:
    deployer = Loads()
    deployer.held["b"] = asyncio.Event()
    async with running(deployer, most=2) as manager:
        await manager.claim("a", "g")
        loading = asyncio.create_task(manager.claim("b", "g"))
        waiting = asyncio.create_task(manager.claim("c", "g"))
        behind = asyncio.create_task(manager.claim("d", "g"))
        await asyncio.sleep(0.01)
        details = {one.id: one.detail for one in manager.loaded()}
        assert details == {"a": "", "b": "", "c": "waiting for room: b is loading", "d": "waiting for its turn"}
        for task in (loading, waiting, behind):
            task.cancel()


async def test_events_have_what_was_decided_on() -> None:
    async with running(Loads(), most=9, memory_gib=2.5) as manager:
        await manager.claim("used", "g")
        await manager.claim("idle", "g")
        manager.release("idle", "g")
        await manager.claim("new", "g")
        told = {(event.model, event.what): event for event in manager.events(0)}
        loading, leaving = told["new", "loading"], told["idle", "unloading"]
        assert loading.inputs["freed"] == ("idle",)
        assert (loading.inputs["memory_gib"], loading.inputs["budget_gib"]) == (GIB, 2.5)
        assert (leaving.code, leaving.inputs["needed_for"], leaving.inputs["in_use"]) == (
            "memory",
            "new",
            ("used",),
        )
        assert told["idle", "unloaded"].inputs["freed_gib"] == GIB


async def test_a_gpu_is_made_free_before_the_next_model_takes_it() -> None:
    deployer = Loads()
    async with running(deployer, most=9, gpus=1) as manager:
        await manager.claim("gpu-a", "g")
        await manager.claim("b", "g")
        manager.release("b", "g")
        waiting = asyncio.create_task(manager.claim("gpu-c", "g"))
        await asyncio.sleep(0.01)
        manager.release("gpu-a", "g")
        await waiting
        assert deployer.log == ["load gpu-a", "load b", "unload gpu-a", "load gpu-c"]
        assert deployer.there == ["b", "gpu-c"]
