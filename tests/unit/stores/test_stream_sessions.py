"""Conversations and stream sessions in the database: what two gateways may do to one, and what they may not."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import Engine, func, select

from cluster.errors import ConversationBusy, ConversationNotFound, Overloaded, StreamSessionNotFound
from cluster.stores.conversations import COMPLETED, STREAMING, Conversations
from cluster.stores.database import now, open_database
from cluster.stores.stream_journal import Ending, Progress, StreamJournal, settle
from cluster.stores.stream_sessions import ACTIVE, Question, StreamSession, StreamSessions, stream_events

ASKED = Question(
    conversation_id="c", owner="me", content='"hello"', model="echo", provider="scripted", title="hello", seen=0
)
DONE = Ending(status=COMPLETED, finish_reason="stop", prompt_tokens=1, tokens=3, prompt_bytes=5)


@pytest.fixture
def engine(database: Engine) -> Engine:
    return database


@pytest.fixture
def talks(engine: Engine) -> Conversations:
    talks = Conversations(engine)
    talks.create(id="c", owner="me", values={"title": None})
    return talks


@pytest.fixture
def sessions(engine: Engine, talks: Conversations) -> StreamSessions:
    return StreamSessions(engine)


def begin(
    sessions: StreamSessions, name: str = "s", question: Question = ASKED, max_active: int = 9
) -> StreamSession:
    ids = (f"q-{name}", f"a-{name}", name)
    return sessions.begin(question, ids=ids, gateway="g", max_active=max_active, kept=9)


def said(first: int, *texts: str, ending: Ending | None = None) -> Progress:
    return Progress(session_id="s", first=first, texts=texts, tokens=first - 2 + len(texts), ending=ending)


def test_a_session_begins_with_a_question_and_a_place_for_its_answer(
    sessions: StreamSessions, talks: Conversations
) -> None:
    made = begin(sessions)
    assert (made.status, made.partial_response, made.last_event) == (ACTIVE, "", 1)
    total, (question, answer) = talks.messages("c", owner="me", limit=9, offset=0)
    assert (total, question.content, answer.status) == (2, "hello", STREAMING)
    assert talks.get("c", owner="me").title == "hello"


def test_text_is_stored_with_the_ids_of_its_events(sessions: StreamSessions, engine: Engine) -> None:
    begin(sessions)
    journal = StreamJournal(engine, "g")
    assert set(journal.write([said(2, "a", "b")])) == {"s"}
    journal.write([said(4, "c")])
    assert sessions.events("s", after=2, limit=9) == [(3, "b"), (4, "c")]
    assert sessions.events("s", after=1, limit=1) == [(2, "a"), (3, "b")]
    found = sessions.get("s", owner="me")
    assert (found.partial_response, found.token_count, found.last_event) == ("abc", 3, 4)
    assert sessions.partial("c") == {"a-s": "abc"}


def test_what_is_written_again_after_a_commit_that_nobody_heard_of_is_there_once(
    sessions: StreamSessions, engine: Engine
) -> None:
    begin(sessions)
    journal = StreamJournal(engine, "g")
    journal.write([said(2, "a", "b")])
    assert set(journal.write([said(2, "a", "b", "c")])) == {"s"}
    assert sessions.events("s", after=1, limit=9) == [(2, "a"), (3, "b"), (4, "c")]
    assert sessions.get("s", owner="me").partial_response == "abc"
    assert journal.write([said(2, "a", "b", "c", ending=DONE)]) == {}
    assert journal.write([said(2, "a", "b", "c", ending=DONE)]) == {}
    assert sessions.get("s", owner="me").partial_response == "abc"


def test_an_end_is_in_the_session_its_message_and_its_conversation_at_once(
    sessions: StreamSessions, talks: Conversations, engine: Engine
) -> None:
    begin(sessions)
    assert StreamJournal(engine, "g").write([said(2, "a", "b", ending=DONE)]) == {}
    assert sessions.get("s", owner="me").status == COMPLETED
    answer = talks.message("a-s")
    assert answer is not None
    assert (answer.content, answer.status, answer.completion_tokens, answer.prompt_bytes) == ("ab", COMPLETED, 3, 5)
    assert begin(sessions, "next", replace(ASKED, seen=answer.number)).status == ACTIVE


def test_a_conversation_has_one_answer_at_a_time(sessions: StreamSessions) -> None:
    begin(sessions)
    with pytest.raises(ConversationBusy):
        begin(sessions, "t")


def test_a_prompt_made_before_the_last_answer_is_refused(sessions: StreamSessions, engine: Engine) -> None:
    begin(sessions)
    StreamJournal(engine, "g").write([said(2, "a", ending=DONE)])
    with pytest.raises(ConversationBusy):
        begin(sessions, "t", ASKED)


def test_nothing_of_a_refused_session_stays(sessions: StreamSessions, talks: Conversations) -> None:
    with pytest.raises(Overloaded):
        begin(sessions, max_active=0)
    assert talks.messages("c", owner="me", limit=9, offset=0)[0] == 0
    assert begin(sessions).status == ACTIVE, "the conversation is free"


def test_of_threads_that_begin_at_once_one_wins(shared_url: str) -> None:
    engine = open_database(shared_url)
    Conversations(engine).create(id="c", owner="me", values={})
    sessions = StreamSessions(engine)

    def attempt(name: int) -> bool:
        try:
            return bool(begin(sessions, str(name)))
        except ConversationBusy:
            return False

    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(attempt, range(4))) == 1
    engine.dispose()


def test_another_owner_begins_finds_and_stops_nothing(sessions: StreamSessions) -> None:
    with pytest.raises(ConversationNotFound):
        begin(sessions, "t", replace(ASKED, owner="eve"))
    begin(sessions)
    with pytest.raises(StreamSessionNotFound):
        sessions.get("s", owner="eve")
    sessions.ask_to_stop("s", owner="eve", reason="mine")
    assert sessions.get("s", owner="me").stop_reason is None


def test_of_two_requests_to_stop_the_first_is_heard_by_its_gateway(
    sessions: StreamSessions, engine: Engine
) -> None:
    begin(sessions)
    for reason in ("first", "second"):
        sessions.ask_to_stop("s", owner="me", reason=reason)
    assert StreamJournal(engine, "g").write([])["s"].stop_reason == "first"
    assert StreamJournal(engine, "other").write([]) == {}


def test_a_silent_session_is_ended_with_what_it_had(
    sessions: StreamSessions, talks: Conversations, engine: Engine
) -> None:
    begin(sessions)
    journal = StreamJournal(engine, "g")
    journal.write([said(2, "half")])
    settle(engine, owner="me", before=now() - timedelta(seconds=9))
    settle(engine, owner="eve", before=now() + timedelta(seconds=9))
    assert sessions.get("s", owner="me").status == ACTIVE, "not silent for long enough, and another's"
    settle(engine, owner="me", before=now() + timedelta(seconds=9))
    found, answer = sessions.get("s", owner="me"), talks.message("a-s")
    assert (found.status, found.termination_reason, found.partial_response) == ("error", "gateway_lost", "half")
    assert answer is not None
    assert (answer.status, answer.content) == ("error", "half")
    assert journal.write([said(3, "late", ending=DONE)]) == {}
    assert sessions.get("s", owner="me") == found, "who comes back late changes nothing"


def test_a_sign_of_life_is_of_the_sessions_that_run_and_no_others(sessions: StreamSessions, engine: Engine) -> None:
    begin(sessions)
    before = sessions.get("s", owner="me").last_activity_at
    StreamJournal(engine, "g").write([], alive=["t"])
    assert sessions.get("s", owner="me").last_activity_at == before
    StreamJournal(engine, "g").write([], alive=["s"])
    assert sessions.get("s", owner="me").last_activity_at > before


def test_a_deleted_conversation_takes_all_with_it(
    sessions: StreamSessions, talks: Conversations, engine: Engine
) -> None:
    begin(sessions)
    journal = StreamJournal(engine, "g")
    journal.write([said(2, "a")])
    talks.remove("c", owner="me")
    assert journal.write([said(3, "b")]) == {}
    assert talks.message("a-s") is None
    with engine.connect() as connection:
        assert connection.execute(select(func.count()).select_from(stream_events)).scalar_one() == 0


def test_only_so_much_history_is_read_the_newest_first(
    sessions: StreamSessions, talks: Conversations, engine: Engine
) -> None:
    seen = 0
    for name in "xyz":
        begin(sessions, name, replace(ASKED, content=f'"{name * 10}"', seen=seen))
        StreamJournal(engine, "g").write([Progress(session_id=name, first=2, texts=["ok"], tokens=1, ending=DONE)])
        seen = talks.recent("c", max_messages=9, max_bytes=999)[1][-1].number
    total, newest = talks.recent("c", max_messages=3, max_bytes=999)
    assert (total, [message.content for message in newest]) == (6, ["ok", "zzzzzzzzzz", "ok"])
    assert len(talks.recent("c", max_messages=9, max_bytes=18)[1]) == 2
