"""`Idempotency-Key` through an app: what is sent twice runs once. Two at once: test_idempotency_twins.py."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from cluster.errors import ConversationBusy, EngineFailure, Overloaded, ReplicaLost
from cluster.stores.database import engine_of
from cluster.stores.idempotency import IdempotentAnswers
from deployments.gateway import idempotency as module
from deployments.gateway.idempotency import Idempotency
from deployments.gateway.sent_body import IN_MEMORY_BYTES, SentBody
from deployments.gateway.timing import Timings
from tests.unit.gateway.conftest import app_over, client_of, started
from tests.unit.gateway.idempotent_desk import CHAT, KEY, Desk, received, replayed


@pytest.fixture
async def desk() -> AsyncIterator[Desk]:
    made = Desk("sqlite://")
    async with made.client:
        yield made


async def test_the_same_request_runs_once_and_is_answered_alike(desk: Desk) -> None:
    first, second = await desk.post(), await desk.post()
    assert (first.status_code, second.status_code, desk.runs) == (201, 201, 1)
    assert (replayed(first), replayed(second)) == (False, True)
    assert first.content == second.content == b"1:{}"
    assert second.headers["content-type"] == first.headers["content-type"]
    assert second.headers["x-run"] == "1"
    assert second.headers["x-request-id"] != first.headers["x-request-id"]


async def test_another_body_with_the_same_key_is_refused(desk: Desk) -> None:
    await desk.post()
    refused = await desk.post(b'{"a": 1}')
    assert (refused.status_code, refused.json()["error"]["code"]) == (409, "idempotency_mismatch")
    assert refused.headers["x-should-retry"] == "false"
    assert desk.runs == 1


async def test_another_query_is_another_request(desk: Desk) -> None:
    await desk.post()
    assert (await desk.post(path=f"{CHAT}?a=1")).status_code == 409


@pytest.mark.parametrize("other", [{"key": "k2"}, {"path": "/v1/responses"}])
async def test_another_key_or_path_runs(desk: Desk, other: dict[str, str]) -> None:
    await desk.post()
    assert not replayed(await desk.post(**other))
    assert desk.runs == 2


async def test_a_request_without_a_key_always_runs_and_opens_no_database(tmp_path: Path) -> None:
    desk = Desk(f"sqlite:///{tmp_path / 'y.db'}")
    async with desk.client:
        for _ in range(2):
            await desk.client.post(CHAT, content=b"{}")
    assert desk.runs == 2
    assert not (tmp_path / "y.db").exists()


async def test_secrets_are_not_stored(desk: Desk) -> None:
    for _ in range(2):
        assert not replayed(await desk.post(path="/api/v1/keys"))
    assert desk.runs == 2


@pytest.mark.parametrize("key", ["", "é", "a" * 256, "a\tb"])
async def test_a_key_that_is_none_is_refused(desk: Desk, key: str) -> None:
    refused = await desk.client.post(CHAT, headers=[(b"idempotency-key", key.encode())])
    assert (refused.status_code, refused.json()["error"]["param"]) == (400, "Idempotency-Key")
    assert desk.runs == 0


async def test_the_longest_key_is_taken(desk: Desk) -> None:
    assert (await desk.post(key="a" * 255)).status_code == 201


async def test_two_keys_are_refused(desk: Desk) -> None:
    refused = await desk.client.post(CHAT, headers=[(b"idempotency-key", b"a"), (b"idempotency-key", b"b")])
    assert refused.status_code == 400


@pytest.mark.parametrize("error", [EngineFailure("x"), Overloaded("x"), ReplicaLost("x"), ConversationBusy("x")])
async def test_an_answer_that_says_not_now_is_not_kept(desk: Desk, error: Exception) -> None:
    desk.fail = error
    assert (await desk.post()).status_code in {409, 429, 500, 503}
    again = await desk.post()
    assert (again.status_code, replayed(again)) == (201, False)


async def test_a_refusal_is_kept_as_any_answer(desk: Desk) -> None:
    first, second = await desk.post(path="/v1/files"), await desk.post(path="/v1/files")
    assert (first.status_code, replayed(second)) == (400, True)
    assert first.content == second.content


async def test_an_unforeseen_failure_lets_the_key_go(desk: Desk) -> None:
    desk.fail = ZeroDivisionError("x")
    assert (await desk.post()).status_code == 500
    assert (await desk.post()).status_code == 201


async def test_a_stream_is_replayed(desk: Desk) -> None:
    first, second = await desk.post(path="/v1/responses"), await desk.post(path="/v1/responses")
    assert first.text == second.text == "data: 1\n\ndata: 1\n\n"
    assert second.headers["content-type"].startswith("text/event-stream")
    assert (replayed(second), desk.runs) == (True, 1)


async def test_a_stream_that_broke_is_not_kept(desk: Desk) -> None:
    desk.fail = ReplicaLost("gone")
    assert "replica_lost" in (await desk.post(path="/v1/responses")).text
    again = await desk.post(path="/v1/responses")
    assert (again.text, replayed(again)) == ("data: 1\n\ndata: 2\n\n", False)


async def test_an_answer_over_the_bound_is_sent_and_not_kept(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_ANSWER_BYTES", 100)
    for run in (b"1:", b"2:"):
        assert (await desk.post(b"x" * 200)).content == run + b"x" * 200


async def test_a_form_is_the_same_with_another_boundary(desk: Desk) -> None:
    large = b"x" * (2 * IN_MEMORY_BYTES)
    first = await desk.client.post("/v1/files", files={"file": ("a.txt", large)}, headers=KEY)
    second = await desk.client.post("/v1/files", files={"file": ("a.txt", large)}, headers=KEY)
    assert first.request.headers["content-type"] != second.request.headers["content-type"]
    assert (first.text, second.text) == (f"1:a.txt:{len(large)}",) * 2
    assert replayed(second)
    assert (await desk.client.post("/v1/files", files={"file": ("b.txt", large)}, headers=KEY)).status_code == 409


async def test_a_body_over_the_limit_is_refused_as_ever(desk: Desk) -> None:
    assert (await desk.post(b"x" * (5 * IN_MEMORY_BYTES))).status_code == 413

    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(5):
            yield b"x" * IN_MEMORY_BYTES

    assert (await desk.client.post(CHAT, content=pieces(), headers=KEY)).status_code == 413


async def test_where_the_database_is_away_a_key_gets_503_and_others_go_on(tmp_path: Path) -> None:
    (tmp_path / "x.db").mkdir()
    desk = Desk(f"sqlite:///{tmp_path / 'x.db'}")
    async with desk.client:
        refused = await desk.post()
        assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
        assert (await desk.client.post(CHAT, content=b"{}")).status_code == 201


@pytest.mark.parametrize("size", [1, 2, 3, 7, 100])
async def test_a_boundary_is_found_wherever_the_pieces_break(size: int) -> None:
    async def fingerprint(boundary: str, size: int) -> str:
        content = f"--{boundary}\r\nname\r\n--{boundary[:-1]}?\r\n--{boundary}--\r\n".encode()
        content = content.replace(boundary[:-1].encode() + b"?", b"almost")
        scope = {
            "type": "http",
            "query_string": b"",
            "headers": [(b"content-type", f'multipart/form-data; boundary="{boundary}"'.encode())],
        }
        with SentBody() as body:
            assert await body.read(scope, received(content, size))
            return body.fingerprint

    assert await fingerprint("aabaab", size) == await fingerprint("another-one", 1000)


async def test_a_chat_runs_once_in_the_gateway() -> None:
    model = await started()
    app = app_over(model)
    app.add_middleware(Idempotency, answers=IdempotentAnswers(engine_of("sqlite://")), wait_s=1.0)
    app.add_middleware(Timings)
    asked = {"model": "echo", "messages": [{"role": "user", "content": "hi"}], "stream": True}
    async with client_of(app) as client:
        first = await client.post(CHAT, json=asked, headers=KEY)
        second = await client.post(CHAT, json=asked, headers=KEY)
    assert first.text == second.text
    assert first.text.endswith("data: [DONE]\n\n")
    assert replayed(second)
    assert "prefill" in first.headers["x-heliostat-timing"]
    assert "prefill" not in second.headers["x-heliostat-timing"]
