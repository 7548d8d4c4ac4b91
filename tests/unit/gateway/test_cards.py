"""The cards of several models: one that is silent or broken costs the others nothing."""

import asyncio
from time import monotonic

import pytest

from cluster.errors import EngineDead, EngineFailure, HeliostatError, Unavailable
from cluster.types import Capabilities, ModelCard, Task
from deployments.gateway.cards import Cards


def card(name: str) -> ModelCard:
    able = Capabilities(task=Task.CHAT, context_length=64)
    return ModelCard(id=name, engine="scripted", revision="r", created=1, capabilities=able)


async def test_a_broken_one_is_told_as_its_error(caplog: pytest.LogCaptureFixture) -> None:
    async def ask(name: str) -> ModelCard:
        if name == "dead":
            raise EngineDead("it died")
        if name == "odd":
            raise KeyError("what nobody foresaw")
        return card(name)

    cards = Cards(ask)
    for _ in range(2):
        found = await cards.of(["dead", "odd", "fine"])
        assert isinstance(found["dead"], EngineDead)
        assert isinstance(found["odd"], EngineFailure)
        assert found["fine"] == card("fine")
    assert sum("dead" in line for line in caplog.messages) == 1  # a log says it once


async def test_a_silent_one_is_waited_for_once_and_is_back_when_it_speaks() -> None:
    speaks = asyncio.Event()

    async def ask(name: str) -> ModelCard:
        if name == "silent":
            await speaks.wait()
        return card(name)

    cards = Cards(ask, patience_s=0.5)
    assert isinstance((await cards.of(["silent", "fine"]))["silent"], Unavailable)
    began = monotonic()
    assert isinstance((await cards.of(["silent", "fine"]))["silent"], HeliostatError)
    assert monotonic() - began < 0.4
    speaks.set()
    await asyncio.sleep(0)
    assert (await cards.of(["silent"]))["silent"] == card("silent")


async def test_those_who_come_together_ask_once() -> None:
    asked = 0

    async def ask(name: str) -> ModelCard:
        nonlocal asked
        asked += 1
        await asyncio.sleep(0.001)
        return card(name)

    cards = Cards(ask)
    await asyncio.gather(*(cards.of(["a"]) for _ in range(5)))
    assert asked == 1
