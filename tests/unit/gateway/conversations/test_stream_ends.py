"""How stream sessions end: stopped, left alone, failed, or with their gateway; what was said stays."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from cluster.errors import Overloaded
from cluster.settings.tree import Settings
from cluster.stores.database import now, open_database
from cluster.stores.stream_journal import Progress, StreamJournal, settle
from cluster.stores.stream_sessions import Question
from cluster.types import ChatCall
from deployments.gateway.conversations import routes
from deployments.gateway.conversations.records import Records
from deployments.gateway.conversations.sessions import new_id
from tests.unit.gateway.conftest import LocalModel, started
from tests.unit.gateway.conversations.asking import (
    API,
    SPOKEN,
    Gateway,
    endless,
    kinds,
    quick_settings,
    slow,
    two,
)
from tests.unit.waiting import until


class Broken(LocalModel):
    """Fails as nobody foresaw."""

    async def stream(self, call: ChatCall) -> AsyncIterator[bytes]:
        yield b'data: {"choices": [{"delta": {"content": "half"}}]}\n\n'
        raise ZeroDivisionError


class Short(LocalModel):
    """Ends without saying that it has."""

    async def stream(self, call: ChatCall) -> AsyncIterator[bytes]:
        yield b'data: {"choices": [{"delta": {"content": "half"}}]}\n\n'


class Full(LocalModel):
    """Has no place."""

    async def stream(self, call: ChatCall) -> AsyncIterator[bytes]:
        raise Overloaded("no place", retry_after_s=2)
        yield b""


async def test_a_stop_ends_the_generation_and_keeps_the_text() -> None:
    gateway, model = await endless()
    conversation = await gateway.conversation()
    read = await gateway.stream(conversation, SPOKEN).until(5)
    stopped = await gateway.stop(read.session)
    assert (stopped["status"], stopped["terminationReason"]) == ("terminated", "stopped_by_client")
    await read.end()
    assert model.engine.running == 0
    assert kinds(read)[-1] == "done"
    assert read.events[-1].data["message"]["content"] == read.text == stopped["partialResponse"]
    assert (await gateway.said(conversation))[1]["status"] == "terminated"
    assert await gateway.stop(read.session) == stopped, "a second stop changes nothing"


async def test_another_gateway_stops_it(tmp_path: Path) -> None:
    one, other, model = await two(tmp_path)
    read = await one.stream(await one.conversation(), SPOKEN).until(3)
    stopped = await other.stop(read.session)
    assert (stopped["status"], stopped["terminationReason"]) == ("terminated", "stopped_by_client")
    assert (await read.end()).text == stopped["partialResponse"]
    assert model.engine.running == 0


async def test_a_stopped_answer_may_be_followed_by_the_next() -> None:
    gateway, _ = await endless()
    conversation = await gateway.conversation()
    read = await gateway.stream(conversation, SPOKEN).until(3)
    await gateway.stop(read.session)
    assert (await gateway.say(conversation, "next", max_tokens=1)).status_code == 200


async def test_an_answer_goes_on_unread_and_is_stopped_after_the_grace() -> None:
    gateway, model = await endless(quick_settings(resume_grace_s=0.05))
    read = await gateway.stream(await gateway.conversation(), SPOKEN).until(3)
    await read.hang_up()
    assert model.engine.running == 1, "a hang-up alone does not stop it"
    await until(lambda: model.engine.running == 0)
    found = await gateway.session_once(lambda one: one["status"] != "active", read.session)
    assert (found["status"], found["terminationReason"]) == ("terminated", "client_disconnected")
    assert found["partialResponse"].startswith(read.text)


async def test_a_reader_at_another_gateway_keeps_it_going(tmp_path: Path) -> None:
    one, other, model = await two(tmp_path, resume_grace_s=1.0)
    read = await one.stream(await one.conversation(), SPOKEN).until(3)
    await read.hang_up()
    elsewhere = await other.resume(read.session).until(1)
    await asyncio.sleep(1.3)
    assert model.engine.running == 1
    await elsewhere.hang_up()
    await until(lambda: model.engine.running == 0)


async def test_a_hang_up_of_who_waits_for_the_whole_answer_stops_it_too() -> None:
    gateway, model = await endless(quick_settings(resume_grace_s=0.02))
    conversation = await gateway.conversation()
    asking = gateway.stream(conversation, SPOKEN, stream=False)
    await until(lambda: model.engine.running == 1)
    asking._gone.set()
    await until(lambda: model.engine.running == 0)
    await asyncio.wait({asking._task})
    answer = (await gateway.said(conversation))[1]
    assert (answer["role"], answer["status"]) == ("assistant", "terminated")
    assert asking.text == "", "nobody was told a whole answer"


async def test_an_engine_that_fails_half_way_leaves_the_half_and_its_reason() -> None:
    gateway = await slow(fail_after_tokens=3)
    conversation = await gateway.conversation()
    read = await gateway.stream(conversation, SPOKEN).end()
    assert kinds(read) == ["session", *["delta"] * 3, "error"]
    assert read.events[-1].data["error"]["code"] == "engine_error"
    found = await gateway.session(read.session)
    assert (found["status"], found["terminationReason"], found["partialResponse"]) == (
        "error",
        "engine_error",
        "w0 w1 w2",
    )
    answer = (await gateway.said(conversation))[1]
    assert (answer["status"], answer["content"]) == ("error", "w0 w1 w2")


@pytest.mark.parametrize("status_s", [0.0, 5.0])
async def test_who_has_to_come_back_later_does_not_find_the_question_twice(
    status_s: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(routes, "STATUS_S", status_s)
    model = Full((await started()).engine)
    gateway = Gateway(model, quick_settings())
    conversation = await gateway.conversation()
    read = await gateway.stream(conversation, "x").end()
    if not status_s:
        assert [event.data["error"]["code"] for event in read.events[1:]] == ["rate_limit_exceeded"]
    else:
        assert (read.status, read.events) == (429, [])
    assert (await gateway.say(conversation, "x")).status_code == 429
    assert await gateway.said(conversation) == []
    assert (await gateway.client.get(f"{API}/stream-sessions")).json()["total"] == 0


async def test_a_stream_that_fails_at_once_has_the_errors_status(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(routes, "STATUS_S", 5.0)
    gateway = await slow()
    read = await gateway.stream(await gateway.conversation(), "x " * 70).end()
    assert (read.status, read.events) == (400, [])


@pytest.mark.parametrize(("kind", "code"), [(Broken, "internal_error"), (Short, "replica_lost")])
async def test_a_stream_that_breaks_is_an_error_and_never_a_whole_answer(kind: type[LocalModel], code: str) -> None:
    gateway = Gateway(kind((await started()).engine), quick_settings())
    read = await gateway.stream(await gateway.conversation(), "x").end()
    assert read.events[-1].data["error"]["code"] == code
    assert "ZeroDivision" not in read._text


async def test_an_answer_that_takes_too_long_says_so() -> None:
    model = await started(first_token_delay_s=5)
    gateway = Gateway(model, quick_settings(limits={"generation_timeout_ms": 20}))
    conversation = await gateway.conversation()
    answer = await gateway.say(conversation, "x")
    assert (answer.status_code, answer.json()["error"]["code"]) == (504, "generation_timeout")
    assert (await gateway.said(conversation))[1]["terminationReason"] == "generation_timeout"
    assert model.engine.running == 0


async def test_a_driver_that_fails_as_nobody_foresaw_does_not_keep_an_answer_from_its_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Once before the transaction, and once after its commit, which then looks as if it had failed."""
    write, failures = StreamJournal.write, iter((before := OSError("lost"), ConnectionResetError("lost later")))

    def failing(self: StreamJournal, *args: Any, **options: Any) -> Any:
        failure = next(failures, None)
        if failure is before:
            raise failure
        standings = write(self, *args, **options)
        if failure is not None:
            raise failure
        return standings

    monkeypatch.setattr(StreamJournal, "write", failing)
    gateway = await slow()
    conversation = await gateway.conversation()
    answer = await gateway.say(conversation, "one two three")
    assert answer.status_code == 200
    assert (await gateway.said(conversation))[1]["content"] == answer.json()["message"]["content"] != ""
    assert next(failures, None) is None, "both were met"


async def test_a_deleted_conversation_ends_its_answer() -> None:
    gateway, model = await endless()
    conversation = await gateway.conversation()
    read = await gateway.stream(conversation, SPOKEN).until(3)
    await gateway.client.delete(f"{API}/conversations/{conversation}")
    await read.end()
    assert read.events[-1].data["error"]["code"] == "stream_session_not_found"
    await until(lambda: model.engine.running == 0)


async def test_a_shutdown_ends_the_answers_and_says_why() -> None:
    gateway, model = await endless()
    conversation = await gateway.conversation()
    read = await gateway.stream(conversation, SPOKEN).until(3)
    await gateway.shut_down()
    await read.end()
    assert read.events[-1].data["session"]["terminationReason"] == "server_shutdown"
    assert model.engine.running == 0
    assert (await gateway.say(conversation, "more")).status_code == 503


async def test_what_a_dead_gateway_stored_is_readable_with_its_reason(tmp_path: Path) -> None:
    """Its process is gone: nobody writes any more. Here it is one whose generation and recorder never ran."""
    settings = quick_settings(tmp_path, lost_after_s=0.1)
    gateway = await slow(settings)
    conversation = await gateway.conversation()
    session = await begun_by_the_dead(settings, conversation)
    following = gateway.resume(session, 3)
    await following.end()
    assert [(event.number > 1000, event.kind) for event in following.events] == [(True, "error")]
    assert following.events[0].data["error"]["code"] == "gateway_lost"
    found = await gateway.session(session)
    assert (found["status"], found["terminationReason"]) == ("error", "gateway_lost")
    assert (found["partialResponse"], found["tokenCount"]) == ("half an", 2)
    answer = (await gateway.said(conversation))[1]
    assert (answer["status"], answer["content"], answer["terminationReason"]) == (
        "error",
        "half an",
        "gateway_lost",
    )
    whole = await gateway.resume(session).end()
    assert (whole.text, kinds(whole)) == ("half an", ["session", "delta", "delta", "error"])
    assert (await gateway.say(conversation, "again")).status_code == 200


async def begun_by_the_dead(settings: Settings, conversation: str) -> str:
    question = Question(
        conversation_id=conversation,
        owner="local",
        content='"x"',
        model="echo",
        provider="scripted",
        title="x",
        seen=0,
    )
    records = Records(open_database(settings.database_url), settings)
    ids = (new_id("msg"), new_id("msg"), new_id("strm"))
    made = await records.do(
        lambda stores: stores.sessions.begin(question, ids=ids, gateway=records.gateway, max_active=9, kept=9)
    )
    progress = Progress(session_id=made.id, first=2, texts=["half", " an"], tokens=2)
    await records.do(lambda stores: stores.journal.write([progress]))
    return made.id


async def test_a_gateway_that_was_taken_for_dead_changes_nothing_when_it_comes_back(tmp_path: Path) -> None:
    settings = quick_settings(tmp_path)
    gateway, model = await endless(settings)
    conversation = await gateway.conversation()
    read = await gateway.stream(conversation, SPOKEN).until(5)
    settle(open_database(settings.database_url), owner="local", before=now() + timedelta(seconds=1))
    await read.end()
    assert read.events[-1].data["error"]["code"] == "gateway_lost"
    assert model.engine.running == 0
    assert (await gateway.session(read.session))["terminationReason"] == "gateway_lost"
