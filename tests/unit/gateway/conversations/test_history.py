"""What a model is shown of a conversation, decided without asking anybody."""

from datetime import UTC, datetime
from typing import Any

from cluster.stores.conversations import Message
from deployments.gateway.conversations.history import History, Room, history, tokens_per_byte

ROOM = Room(tokens=100, per_byte=1.0, messages=100, pictures=9)


def said(role: str, content: Any, **fields: Any) -> Message:
    nothing = dict.fromkeys(Message.__dataclass_fields__)
    known = {"status": "completed", "created_at": datetime.now(UTC), "number": 1, "id": "m", "conversation_id": "c"}
    return Message(**{**nothing, **known, "role": role, "content": content, **fields})


def turns(count: int, **fields: Any) -> list[Message]:
    """Turns of 20 bytes."""
    return [said(role, "x" * 10, **fields) for _ in range(count) for role in ("user", "assistant")]


def prompt(count: int, question: str = "q") -> History:
    return history(None, turns(count), question, unseen=0)


def test_all_is_shown_where_all_fits() -> None:
    assert prompt(4).fitted(ROOM) == prompt(4)


def test_as_few_turns_are_dropped_as_it_takes_the_oldest_first() -> None:
    found = prompt(9).fitted(ROOM)
    assert (len(found.turns), found.dropped) == (4, 10)
    assert found.turns == prompt(9).turns[5:]


def test_the_system_prompt_and_the_question_stay_whatever_their_size() -> None:
    found = history("s" * 200, turns(2), "q" * 200, unseen=0).fitted(ROOM)
    assert [message["role"] for message in found.messages] == ["system", "user"]


def test_nothing_is_dropped_for_its_size_where_nobody_knows_the_tokenizer() -> None:
    unknown = Room(tokens=1, per_byte=None, messages=100, pictures=9)
    assert prompt(50).fitted(unknown).dropped == 2, "99 messages with the question are what a request may have"


def test_pictures_over_the_limit_go_with_their_turns() -> None:
    picture = [{"type": "image_url", "image_url": {"url": "x"}}]
    shown = [
        said("user", picture),
        said("assistant", "a"),
        *turns(1),
        said("user", picture),
        said("assistant", "b"),
    ]
    room = Room(tokens=100, per_byte=1.0, messages=100, pictures=1)
    assert len(history(None, shown, "q", unseen=0).fitted(room).turns) == 2
    assert history(None, shown, picture, unseen=0).fitted(room).turns == ()


def test_what_was_refused_gets_shorter_until_nothing_is_left_to_drop() -> None:
    sizes: list[int] = []
    found: History | None = prompt(9)
    while found is not None:
        sizes.append(len(found.turns))
        found = found.shorter()
    assert sizes == [9, 6, 4, 2, 1, 0]


def test_messages_that_were_not_read_count_as_dropped() -> None:
    assert history(None, turns(1), "q", unseen=6).dropped == 6


def test_questions_without_a_word_of_an_answer_are_left_out() -> None:
    lone = [said("user", "lost"), said("assistant", "", status="error"), *turns(1)]
    half = [
        said("assistant", "cut off"),
        *turns(1),
        said("user", "now"),
        said("assistant", "a", status="streaming"),
    ]
    for messages in (lone, half):
        assert len(history(None, messages, "q", unseen=0).turns) == 1


def test_the_newest_answer_of_the_same_model_tells_the_tokens_a_byte() -> None:
    counted = [
        said("assistant", "a", model="m", prompt_tokens=10, prompt_bytes=100),
        said("assistant", "b", model="m", prompt_tokens=30, prompt_bytes=100),
        said("assistant", "c", model="other", prompt_tokens=90, prompt_bytes=100),
        said("assistant", "d", model="m"),
    ]
    assert tokens_per_byte(counted, "m") == 0.3
    assert tokens_per_byte(counted, "new") is None
