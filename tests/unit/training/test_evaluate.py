"""The judges of the measured table: what they accept and what they don't."""

from random import Random

import pytest

from pipelines.training.chat.evaluate import (
    TASKS,
    evaluate,
    known_answer,
    list_of_as_many,
    object_with_keys,
    single_word_of_category,
)
from pipelines.training.prompts import turns


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.name)
def test_every_task_accepts_its_own_answer(task) -> None:
    rng = Random(5)
    assert all(task.right(dialogue, dialogue.answer) for dialogue in (task.draw(rng) for _ in range(20)))


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
    assert object_with_keys(turns("json", "JSON, please", '{"name": "Anna", "age": 3}'), reply) is right


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
    assert list_of_as_many(turns("list", "List two animals.", "1. Fox\n2. Owl"), reply) is right


@pytest.mark.parametrize(
    ("reply", "right"), [("Blue.", True), ("blue", True), ("Dog.", False), ("Dark blue.", False)]
)
def test_a_single_word_must_be_of_the_category(reply: str, right: bool) -> None:
    assert single_word_of_category(turns("one_word", "Name a colour in one word.", "Red."), reply) is right


def test_an_answer_about_another_topic_is_wrong() -> None:
    dialogue = turns("about", "Say who you are.", "")
    assert known_answer(dialogue, "I'm spark-chat, the small text model of Heliostat.")
    assert not known_answer(dialogue, "You're welcome!")


def test_the_table_counts_the_right_and_shows_the_wrong() -> None:
    evaluation = evaluate(lambda prompts: ["nothing of the kind"] * len(prompts), each=4)
    assert [(score.right, score.asked) for score in evaluation.scores] == [(0, 4)] * len(TASKS)
    assert evaluation.misses[0].got == "nothing of the kind"
