"""The judges of the measured table: what they accept and what they don't."""

import pytest

from pipelines.training.chat.evaluate import (
    TASKS,
    as_many_sentences,
    example_of,
    known_answer,
    list_of_as_many,
    no_call,
    object_with_keys,
    right_call,
    single_word_of_category,
)
from pipelines.training.decoding import message_of
from pipelines.training.prompts import turns
from pipelines.training.tasks import Example, Message, asked, draw, evaluate


def said(text: str) -> Message:
    return {"role": "assistant", "content": text}


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.name)
def test_every_task_accepts_its_own_answer(task) -> None:
    examples = draw(task, 20)
    assert all(task.right(example, message_of(example.expected or "Hello.")) for example in examples)


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.name)
def test_every_task_refuses_an_answer_to_something_else(task) -> None:
    assert not any(task.right(example, message_of("")) for example in draw(task, 20))


@pytest.mark.parametrize(
    ("reply", "right"),
    [
        ('{"name": 1, "age": 2}', True),
        ('{"name": 1}', False),
        ('{"name": 1, "age": 2, "town": 3}', False),
        ('{"name": 1, "age": ', False),
        ('["name", "age"]', False),
    ],
)
def test_an_object_needs_exactly_its_keys(reply: str, right: bool) -> None:
    assert (
        object_with_keys(example_of(turns("json", "JSON, please", '{"name": "Anna", "age": 3}')), said(reply))
        is right
    )


@pytest.mark.parametrize(
    ("reply", "right"),
    [
        ("1. Dog\n2. Cat", True),
        ("1. Dog\n2. Dog", False),
        ("1. Dog", False),
        ("1. Dog\n2. Red", False),
        ("- Dog\n- Cat", False),
    ],
)
def test_a_list_needs_as_many_different_items_of_its_kind(reply: str, right: bool) -> None:
    assert list_of_as_many(example_of(turns("list", "List two animals.", "1. Fox\n2. Owl")), said(reply)) is right


@pytest.mark.parametrize(
    ("reply", "right"), [("Blue.", True), ("blue", True), ("Dog.", False), ("Dark blue.", False)]
)
def test_a_single_word_must_be_of_the_category(reply: str, right: bool) -> None:
    assert (
        single_word_of_category(example_of(turns("one_word", "Name a colour in one word.", "Red.")), said(reply))
        is right
    )


def test_an_answer_about_another_topic_is_wrong() -> None:
    example = example_of(turns("about", "Say who you are.", ""))
    assert known_answer(example, said("I'm spark-chat, the small text model of Heliostat."))
    assert not known_answer(example, said("You're welcome!"))


@pytest.mark.parametrize(
    ("reply", "right"),
    [
        ('<tool_call>{"name": "open_gate", "arguments": {"number": 4}}</tool_call>', True),
        ('<tool_call>{"name": "open_gate", "arguments": {"number": "4"}}</tool_call>', False),
        ('<tool_call>{"name": "shut_gate", "arguments": {"number": 4}}</tool_call>', False),
        ('<tool_call>{"name": "open_gate", "arguments": {"number": 4}</tool_call>', False),
        ('{"name": "open_gate", "arguments": {"number": 4}}', False),
    ],
)
def test_a_call_needs_the_function_and_its_arguments(reply: str, right: bool) -> None:
    known = {"name": "open_gate", "arguments": {"number": 4}}
    example = Example(messages=(asked("Open the gate 4."),), expected="", known=known)
    assert right_call(example, message_of(reply)) is right
    assert no_call(example, message_of(reply)) is not bool(message_of(reply).get("tool_calls"))


@pytest.mark.parametrize(
    ("reply", "right"), [("It is cold. The sea is grey.", True), ("It is cold.", False), ("Cold. Cold.", False)]
)
def test_as_many_sentences_as_asked_for_are_counted(reply: str, right: bool) -> None:
    example = Example(messages=(asked("Describe a harbour in two sentences."),), expected="")
    assert as_many_sentences(example, said(reply)) is right


def test_the_table_counts_the_right_and_shows_the_wrong() -> None:
    evaluation = evaluate(TASKS, lambda examples: [said("nothing of the kind")] * len(examples), each=4)
    wrong = [score for score in evaluation.scores if score.task != "no tool call where none is needed"]
    assert [(score.right, score.asked) for score in wrong] == [(0, 4)] * (len(TASKS) - 1)
    assert evaluation.misses[0].got == "nothing of the kind"
