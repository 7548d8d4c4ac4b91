"""`auto` among models that come and go."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import httpx

from cluster.types import LoadedModel, ModelState
from deployments.clients import Backends
from deployments.gateway.app import build_app
from deployments.gateway.limits.gate import open_gate
from deployments.gateway.models.claims import Claims
from deployments.gateway.models.on_demand import Available, unloaded
from deployments.gateway.routing.build import open_router
from deployments.gateway.routing.router import Router
from tests.unit.gateway.conftest import settings_with
from tests.unit.gateway.models.test_on_demand import HELLO, Fleet, row, started


class Told(Fleet):
    """A fleet whose table a test writes."""

    def __init__(self, table: tuple[LoadedModel, ...]) -> None:
        super().__init__()
        self.table = table

    async def loaded(self) -> tuple[LoadedModel, ...]:
        return self.table


@asynccontextmanager
async def gateway(*table: LoadedModel, **changes: Any) -> AsyncIterator[tuple[httpx.AsyncClient, Fleet, Router]]:
    fleet, settings = Told(table), settings_with(**changes)
    connected = {name: await started(name) for name in ("big", "bigger")}
    cards = {
        name: unloaded(name, engine="scripted", context_length=64, images=False, memory_gib=1.0)
        for name in connected
    }
    models = Available(
        {"echo": await started("echo")}, Claims(fleet, connected.__getitem__, linger_s=5.0), lambda: cards
    )
    gate = open_gate(settings)
    router = open_router(settings, gate=gate)
    app = build_app(Backends(models=models, fleet=fleet), settings, gate=gate, router=router)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://gateway") as client:
        yield client, fleet, router


async def ask(client: httpx.AsyncClient) -> tuple[str, str]:
    answer = await client.post("/v1/chat/completions", json={"model": "auto", **HELLO})
    return answer.json()["model"], answer.headers["x-heliostat-route"]


async def test_a_model_that_is_there_goes_before_those_that_would_have_to_be_loaded() -> None:
    async with gateway() as (client, fleet, router):
        assert await ask(client) == ("echo", "auto -> echo; reason=loaded")
        assert fleet.claimed == []
        [event] = [one for one in router.events.recent if one.kind == "route"]
        told = {one["model"]: (one["state"], one["passed_over"]) for one in event.inputs["candidates"]}
        assert told["big"] == ("unloaded", "it is not loaded")


async def test_what_the_fleet_has_loaded_goes_before_what_it_has_not() -> None:
    auto = {"auto": {"models": ["big", "bigger"]}}
    async with gateway(row("bigger"), routing=auto) as (client, fleet, _):
        assert await ask(client) == ("bigger", "auto -> bigger; reason=loaded")
        assert fleet.claimed == ["bigger"]


async def test_one_that_loads_goes_before_one_that_does_not() -> None:
    auto = {"auto": {"models": ["big", "bigger"]}}
    async with gateway(replace(row("bigger"), state=ModelState.LOADING), routing=auto) as (client, _, _router):
        assert (await ask(client))[0] == "bigger"


async def test_where_there_is_no_room_but_what_is_in_use_the_event_says_so() -> None:
    in_use = [replace(row(f"other-{at}"), in_use=1) for at in range(3)]
    async with gateway(*in_use) as (client, _, router):
        await ask(client)
        [event] = [one for one in router.events.recent if one.kind == "route"]
        assert {one["state"] for one in event.inputs["candidates"]} == {"ready", "crowded"}


async def test_nothing_is_loaded_where_that_is_off() -> None:
    auto = {"auto": {"models": ["big"], "load": False}}
    async with gateway(routing=auto) as (client, fleet, _):
        answer = await client.post("/v1/chat/completions", json={"model": "auto", **HELLO})
        assert (answer.status_code, answer.json()["error"]["code"]) == (400, "no_capable_model")
        assert "is loaded" in answer.json()["error"]["message"]
        assert fleet.claimed == []
