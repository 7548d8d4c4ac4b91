"""Stream sessions: read live, again, by several, and after a dropped connection."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from cluster.types import ChatCall
from deployments.gateway.conversations import routes, stream
from tests.unit.gateway.conftest import LocalModel, started
from tests.unit.gateway.conversations.asking import (
    API,
    REQUEST,
    SPOKEN,
    Gateway,
    endless,
    kinds,
    quick_settings,
    slow,
    two,
)
from tests.unit.waiting import until


async def test_a_stream_is_the_session_deltas_and_the_end_numbered() -> None:
    gateway = await slow()
    read = await gateway.stream(await gateway.conversation(), SPOKEN).end()
    assert kinds(read) == ["session", *["delta"] * 30, "done"]
    assert read.numbers == list(range(1, 33))
    assert read.text == SPOKEN
    first, last = read.events[0].data, read.events[-1].data
    assert (first["status"], first["provider"], first["partialResponse"]) == ("active", "scripted", "")
    assert (last["message"]["content"], last["finish_reason"]) == (SPOKEN, "stop")
    assert last["usage"] == {"prompt_tokens": 30, "completion_tokens": 30, "total_tokens": 60}
    assert (last["session"]["status"], last["session"]["tokenCount"]) == ("completed", 30)


async def test_an_active_session_shows_what_it_has_said_so_far() -> None:
    gateway, _ = await endless()
    conversation = await gateway.conversation()
    read = await gateway.stream(conversation, SPOKEN).until(20)
    found = await gateway.session_once(lambda one: one["partialResponse"].startswith("w0 w1 w2"), read.session)
    assert found["status"] == "active"
    assert found["partialResponse"].startswith("w0 w1 w2")
    assert found["tokenCount"] == len(found["partialResponse"].split())
    answer = (await gateway.said(conversation))[1]
    assert (answer["status"], answer["content"][:5]) == ("streaming", "w0 w1")
    listed = (await gateway.client.get(f"{API}/stream-sessions?status=active&conversationId={conversation}")).json()
    assert [one["id"] for one in listed["streamSessions"]] == [read.session]
    await gateway.stop(read.session)


async def test_a_dropped_connection_is_resumed_with_nothing_missing_and_nothing_twice() -> None:
    gateway = await slow()
    before = await gateway.stream(await gateway.conversation(), SPOKEN).until(8)
    await before.hang_up()
    after = await gateway.resume(before.session, before.numbers[-1]).end()
    assert before.numbers + after.numbers == list(range(1, 33))
    assert before.text + after.text == SPOKEN
    assert kinds(after)[-1] == "done"


async def test_another_gateway_resumes_from_the_database(tmp_path: Path) -> None:
    settings = quick_settings(tmp_path)
    model = await started(token_delay_s=0.005)
    one, two = Gateway(model, settings), Gateway(model, settings)
    before = await one.stream(await one.conversation(), SPOKEN).until(5)
    await before.hang_up()
    after = await two.resume(before.session, before.numbers[-1]).end()
    assert before.numbers + after.numbers == list(range(1, 33))
    assert before.text + after.text == SPOKEN


async def test_an_answer_runs_outside_of_its_requests_context() -> None:
    """Ray cancels what was asked of models in a request's context when that request's client hangs up."""
    seen: list[str | None] = []

    class Looking(LocalModel):
        def stream(self, call: ChatCall) -> AsyncIterator[bytes]:
            seen.append(REQUEST.get())
            return super().stream(call)

    gateway = Gateway(Looking((await started()).engine), quick_settings())
    assert (await gateway.say(await gateway.conversation(), "x")).status_code == 200
    assert seen == [None]


async def test_several_read_one_session_at_once() -> None:
    gateway = await slow()
    first = await gateway.stream(await gateway.conversation(), SPOKEN).until(3)
    others = [gateway.resume(first.session, after) for after in (None, 2, 4)]
    for read in (first, *others):
        await read.end()
    assert [read.numbers[0] for read in others] == [1, 3, 5]
    assert {read.events[-1].number for read in (first, *others)} == {32}


async def test_an_ended_session_is_read_again_whole_and_then_no_more() -> None:
    gateway = await slow(token_delay_s=0)
    read = await gateway.stream(await gateway.conversation(), SPOKEN).end()
    again = await gateway.resume(read.session).end()
    assert (again.numbers, again.text) == (read.numbers, SPOKEN)
    assert (await gateway.resume(read.session, 31).end()).numbers == [32]
    over = await gateway.resume(read.session, 32).end()
    assert (over.status, over.events) == (204, [])
    by_query = await gateway.client.get(f"{API}/stream-sessions/{read.session}/events?after=31")
    assert by_query.text.startswith("id: 32\nevent: done")


@pytest.mark.parametrize("header", ["x", "-1", "1" * 20])
async def test_an_event_id_that_is_none_is_refused(header: str) -> None:
    gateway = await slow(token_delay_s=0)
    session = (await gateway.say(await gateway.conversation(), "a")).json()["session"]["id"]
    path = f"{API}/stream-sessions/{session}/events"
    assert (await gateway.client.get(path, headers={"last-event-id": header})).status_code == 400
    assert (await gateway.client.get(f"{path}?after=-1")).status_code == 400


async def test_a_reader_that_lags_reads_what_memory_let_go_from_the_store() -> None:
    gateway = await slow(quick_settings(buffered_events=8), token_delay_s=0.001)
    read = await gateway.stream(await gateway.conversation(), SPOKEN).until(25)
    late = await gateway.resume(read.session, 1).end()
    assert late.numbers == list(range(2, 33))
    assert late.text == SPOKEN


async def test_a_store_that_is_slow_holds_the_generation_back() -> None:
    gateway, _ = await endless(quick_settings(buffered_events=8, flush_ms=1000))
    read = await gateway.stream(await gateway.conversation(), SPOKEN).until(9)
    await asyncio.sleep(0.05)
    assert len(read.events) == 9, "the session, and as many deltas as may wait for the store"
    await gateway.stop(read.session)


async def test_a_conversation_answers_one_at_a_time(tmp_path: Path) -> None:
    one, other, _ = await two(tmp_path)
    conversation = await one.conversation()
    read = await one.stream(conversation, SPOKEN).until(3)
    for gateway in (one, other):
        answer = await gateway.say(conversation, "more")
        assert (answer.status_code, answer.json()["error"]["code"]) == (409, "conversation_busy")
        assert answer.headers["x-should-retry"] == "false"
    await one.stop(read.session)
    assert len(await one.said(conversation)) == 2


async def test_of_questions_at_once_one_is_answered() -> None:
    gateway, _ = await endless()
    conversation = await gateway.conversation()
    asked = [gateway.stream(conversation, SPOKEN) for _ in range(5)]
    await until(lambda: all(read.status for read in asked))
    assert sorted(read.status for read in asked) == [200, 409, 409, 409, 409]
    await gateway.stop(next(read for read in asked if read.status == 200).session)


async def test_one_owner_has_so_many_answers_at_once_and_no_more() -> None:
    gateway, _ = await endless(quick_settings(max_active=1))
    read = await gateway.stream(await gateway.conversation(), SPOKEN).until(2)
    conversation = await gateway.conversation()
    answer = await gateway.say(conversation, "more")
    assert (answer.status_code, answer.json()["error"]["code"]) == (429, "rate_limit_exceeded")
    assert int(answer.headers["retry-after"]) >= 1
    assert await gateway.said(conversation) == []
    await gateway.stop(read.session)


async def test_old_sessions_go_and_their_messages_stay() -> None:
    gateway = await slow(quick_settings(kept_sessions=2), token_delay_s=0)
    conversation = await gateway.conversation()
    for word in "abcd":
        await gateway.say(conversation, word)
    listed = (await gateway.client.get(f"{API}/stream-sessions")).json()
    assert [one["partialResponse"] for one in listed["streamSessions"]] == ["d", "c", "b"]
    assert len(await gateway.said(conversation)) == 8


async def test_silence_is_filled_with_comments(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "PING_S", 0.01)
    gateway = await slow(first_token_delay_s=0.25)
    read = await gateway.stream(await gateway.conversation(), "x").end()
    assert read._text.count(": ping\n\n") >= 2
    assert kinds(read) == ["session", "delta", "done"]


def test_streams_are_not_held_back_by_proxies() -> None:
    assert routes.STREAM_HEADERS["x-accel-buffering"] == "no"
