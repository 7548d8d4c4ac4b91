"""Background responses: they run without a connection, are read later, and end when nobody wants them."""

import asyncio
from typing import Any

import pytest

from cluster.errors import InvalidApiKey
from deployments.gateway.auth.guard import ASKER, Asker
from tests.unit.gateway.conftest import LocalModel, client_of, settings_with, started
from tests.unit.gateway.responses.conftest import PATH, app_over, checked
from tests.unit.waiting import PATIENCE_S, until

BODY = {"model": "echo", "input": "one two three", "background": True}


async def begun(client: Any) -> str:
    response = checked(await client.post(PATH, json=BODY))
    assert (response.status, response.background, response.output) == ("in_progress", True, [])
    return response.id


async def ended(client: Any, response_id: str) -> Any:
    async with asyncio.timeout(PATIENCE_S):
        while (response := checked(await client.get(f"{PATH}/{response_id}"))).status == "in_progress":  # noqa: ASYNC110
            await asyncio.sleep(0.005)
    return response


async def test_it_is_answered_after_the_request_has_ended(gateway) -> None:
    async with gateway(await started(token_delay_s=0.01)) as client:
        response = await ended(client, await begun(client))
    assert (response.status, response.output_text) == ("completed", "one two three")
    assert response.usage.output_tokens == 3


async def test_it_says_why_it_failed(gateway) -> None:
    async with gateway(await started(fail_every=1)) as client:
        response = await ended(client, await begun(client))
    assert (response.status, response.error.code) == ("failed", "server_error")
    assert "as scripted" in response.error.message


async def test_one_over_its_time_fails_and_stops(gateway) -> None:
    model = await started(token_delay_s=0.05, tokens=60)
    async with gateway(model, limits={"generation_timeout_ms": 50}) as client:
        response = await ended(client, await begun(client))
    assert response.status == "failed"
    assert model.engine.running == 0


async def test_one_whose_key_was_revoked_fails_and_stops(gateway) -> None:
    revoked = asyncio.Event()

    async def confirm() -> None:
        if revoked.is_set():
            raise InvalidApiKey("revoked")

    model = await started(token_delay_s=0.05, tokens=60)
    async with gateway(model) as client:
        token = ASKER.set(Asker(confirm=confirm, every_s=0.005))
        response_id = await begun(client)
        ASKER.reset(token)
        await until(lambda: model.engine.running == 1)
        revoked.set()
        response = await ended(client, response_id)
    assert (response.status, response.error.message) == ("failed", "revoked")
    assert model.engine.running == 0


async def slow(gateway: Any) -> tuple[LocalModel, Any]:
    model = await started(token_delay_s=0.02, tokens=60)
    return model, gateway(model)


async def test_cancelling_it_frees_the_engine(gateway) -> None:
    model, client = await slow(gateway)
    async with client:
        response_id = await begun(client)
        await until(lambda: model.engine.running == 1)
        for _ in range(2):
            assert checked(await client.post(f"{PATH}/{response_id}/cancel")).status == "cancelled"
        await until(lambda: model.engine.running == 0)
        assert (await ended(client, response_id)).status == "cancelled"


@pytest.mark.parametrize("delete", [False, True], ids=["cancelled", "deleted"])
async def test_ending_it_through_another_gateway_frees_the_engine(gateway, delete: bool) -> None:
    model, client = await slow(gateway)
    async with client, gateway(await started()) as other:
        response_id = await begun(client)
        await until(lambda: model.engine.running == 1)
        path = f"{PATH}/{response_id}"
        assert (await (other.delete(path) if delete else other.post(f"{path}/cancel"))).status_code == 200
        await until(lambda: model.engine.running == 0)


async def test_only_a_background_response_can_be_cancelled(gateway) -> None:
    async with gateway(await started()) as client:
        response = checked(await client.post(PATH, json={**BODY, "background": False}))
        answer = await client.post(f"{PATH}/{response.id}/cancel")
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "invalid_request")


async def test_one_that_has_ended_stays_as_it_is_when_cancelled(gateway) -> None:
    async with gateway(await started()) as client:
        response = await ended(client, await begun(client))
        assert checked(await client.post(f"{PATH}/{response.id}/cancel")) == response


async def test_more_than_a_gateway_takes_are_refused_until_one_ends(database: str) -> None:
    model = await started(token_delay_s=0.02, tokens=60)
    settings = settings_with(stores={"database": database}, responses={"max_background": 1})
    async with client_of(app_over(model, settings)) as client:
        response_id = await begun(client)
        refused = await client.post(PATH, json=BODY)
        assert (refused.status_code, refused.headers["retry-after"]) == (429, "5")
        await client.post(f"{PATH}/{response_id}/cancel")
        async with asyncio.timeout(PATIENCE_S):  # until its place is free
            while (await client.post(PATH, json=BODY)).status_code != 200:  # noqa: ASYNC110 - HTTP tells nobody
                await asyncio.sleep(0.005)
