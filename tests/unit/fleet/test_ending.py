"""A replica ends with its engine, once, and never a process that is no replica."""

import os
from typing import Any

import pytest

from cluster.errors import EngineDead
from cluster.settings.tree import Settings
from cluster.types import ChatCall
from deployments.fleet import ending
from deployments.fleet.ending import Ending
from deployments.fleet.replica import ModelReplica

CALL = ChatCall(body=b'{"model": "m", "messages": [{"role": "user", "content": "one"}]}', request_id="r")


@pytest.fixture
def ends(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    found: list[int] = []
    monkeypatch.setattr(os, "_exit", found.append)
    monkeypatch.setattr(ending, "GRACE_S", 0.0)
    return found


def in_an_actor(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ending, "in_actor", lambda: True)


class Replica(ModelReplica):
    """Nobody awaits what a collected object does; Serve does."""

    def __del__(self) -> None: ...  # type: ignore[override]


async def replica_that_dies() -> Any:
    settings = Settings.model_validate({"models": [{"id": "m", "engine": {"kind": "scripted", "die_after": 1}}]})
    replica = Replica.__new__(Replica)
    await replica.__init__(settings.models[0], settings)  # type: ignore[misc]  # as Serve calls it
    return replica


async def settled() -> None:
    import asyncio

    for _ in range(3):
        await asyncio.sleep(0)


async def test_a_dead_engine_ends_the_process_once(monkeypatch: pytest.MonkeyPatch, ends: list[int]) -> None:
    in_an_actor(monkeypatch)
    replica = await replica_that_dies()
    for _ in range(3):
        with pytest.raises(EngineDead):
            await replica.chat(CALL)
    with pytest.raises(EngineDead):
        await replica.check_health()
    await settled()
    assert ends == [ending.EXIT_CODE]


async def test_where_no_actor_is_the_process_lives_on(ends: list[int]) -> None:
    replica = await replica_that_dies()
    with pytest.raises(EngineDead):
        await replica.chat(CALL)
    await settled()
    assert ends == []


async def test_a_replica_that_is_being_stopped_ends_by_itself(
    monkeypatch: pytest.MonkeyPatch, ends: list[int]
) -> None:
    in_an_actor(monkeypatch)
    this = Ending("m")
    this.expected()
    this.begin(EngineDead("not running"))
    await settled()
    assert ends == []
