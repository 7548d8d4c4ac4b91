"""`Idempotency-Key` while the first request still runs: its twins, at any gateway, and a client that hung up."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from cluster.errors import EngineFailure
from cluster.stores.database import open_database
from cluster.stores.idempotency import IdempotentAnswers
from deployments.gateway.principal import LOCAL
from deployments.gateway.sent_body import IN_MEMORY_BYTES, SentBody
from tests.unit.gateway.idempotent_desk import CHAT, KEY, Desk, received, replayed


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'x.db'}"


@pytest.fixture
async def desk() -> AsyncIterator[Desk]:
    made = Desk("sqlite://")
    async with made.client:
        yield made


async def test_a_twin_waits_for_the_first_and_gets_its_answer(desk: Desk) -> None:
    desk.gate.clear()
    first = asyncio.create_task(desk.post())
    await desk.running.wait()
    second = asyncio.create_task(desk.post())
    await asyncio.sleep(0.05)
    assert not second.done()
    desk.gate.set()
    answers = await asyncio.gather(first, second)
    assert [replayed(answer) for answer in answers] == [False, True]
    assert {answer.content for answer in answers} == {b"1:{}"}


async def test_a_twin_with_another_body_does_not_wait(desk: Desk) -> None:
    desk.gate.clear()
    first = asyncio.create_task(desk.post())
    await desk.running.wait()
    assert (await desk.post(b"other")).status_code == 409
    desk.gate.set()
    assert (await first).status_code == 201


async def test_a_twin_at_another_gateway_waits_too(url: str) -> None:
    desk, other = Desk(url), Desk(url)
    async with desk.client, other.client:
        desk.gate.clear()
        first = asyncio.create_task(desk.post())
        await desk.running.wait()
        second = asyncio.create_task(other.post())
        await asyncio.sleep(0.05)
        desk.gate.set()
        assert replayed(await second)
        assert (await first).status_code == 201
    assert (desk.runs, other.runs) == (1, 0)


async def test_a_twin_runs_itself_when_the_first_fails(desk: Desk) -> None:
    desk.gate.clear()
    desk.fail = EngineFailure("it broke")
    first = asyncio.create_task(desk.post())
    await desk.running.wait()
    second = asyncio.create_task(desk.post())
    await asyncio.sleep(0.05)
    desk.gate.set()
    assert [(await first).status_code, (await second).status_code] == [500, 201]
    assert desk.runs == 2


async def test_a_twin_does_not_wait_for_ever() -> None:
    desk = Desk("sqlite://", wait_s=0.05)
    desk.gate.clear()
    async with desk.client:
        first = asyncio.create_task(desk.post())
        await desk.running.wait()
        refused = await desk.post()
        assert (refused.status_code, refused.json()["error"]["code"]) == (409, "idempotency_in_progress")
        assert "x-should-retry" not in refused.headers
        desk.gate.set()
        assert (await first).status_code == 201


async def test_the_claim_of_a_dead_gateway_runs_out(url: str) -> None:
    desk = Desk(url)
    engine = open_database(url)
    answers = IdempotentAnswers(engine)
    request = {"type": "http", "headers": [], "query_string": b""}
    with SentBody() as body:
        await body.read(request, received(b"{}"))
        answer_id = IdempotentAnswers.id_of(owner=LOCAL.owner, key="k1", method="POST", path=CHAT)
        answers.claim(answer_id, body.fingerprint, for_s=0.1)
    engine.dispose()
    async with desk.client:
        assert (await desk.post()).status_code == 201
    assert desk.runs == 1


async def test_a_claim_is_renewed_while_its_request_runs(url: str) -> None:
    desk, other = Desk(url, claim_s=0.5), Desk(url, wait_s=0.7)
    desk.gate.clear()
    async with desk.client, other.client:
        first = asyncio.create_task(desk.post())
        await desk.running.wait()
        assert (await other.post()).json()["error"]["code"] == "idempotency_in_progress"
        desk.gate.set()
        await first
    assert other.runs == 0


async def test_a_request_whose_client_hung_up_may_run_again(desk: Desk) -> None:
    desk.gate.clear()
    first = asyncio.create_task(desk.post())
    await desk.running.wait()
    first.cancel()
    await asyncio.wait({first})
    desk.gate.set()
    assert (await desk.post()).content == b"2:{}"


async def test_what_stays_is_made_though_its_client_hung_up(desk: Desk) -> None:
    path = "/api/v1/conversations/c/messages"
    desk.app.add_api_route(path, desk.stream, methods=["POST"], response_model=None)
    desk.gate.clear()
    first = asyncio.create_task(desk.post(path=path))
    await desk.running.wait()
    first.cancel()
    await asyncio.wait({first})
    second = asyncio.create_task(desk.post(path=path))
    await asyncio.sleep(0.03)
    desk.gate.set()
    assert (await second).text == "data: 1\n\ndata: 1\n\n"
    assert replayed(await second)
    assert desk.runs == 1


async def test_an_upload_whose_client_left_early_is_read_to_its_end(desk: Desk) -> None:
    large = {"file": ("a.txt", b"x" * (2 * IN_MEMORY_BYTES))}
    desk.gate.clear()
    first = asyncio.create_task(desk.client.post("/v1/files", files=large, headers=KEY))
    await desk.running.wait()
    first.cancel()
    await asyncio.wait({first})
    desk.gate.set()
    second = await desk.client.post("/v1/files", files=large, headers=KEY)
    assert (second.text, replayed(second)) == (f"1:a.txt:{2 * IN_MEMORY_BYTES}", True)
