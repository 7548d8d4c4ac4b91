"""The tasks draw examples that a server can be asked, and judge replies."""

from dataclasses import replace

import pytest

from pipelines.training.tasks import draw, picture_of
from pipelines.training.vision.evaluate import TASKS, names_all, same_words


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.name)
def test_a_task_draws_the_same_examples_again_and_accepts_its_own_answers(task) -> None:
    first, again = draw(task, 1), draw(task, 1)
    assert first == again
    for example in first:
        assert task.right(example, {"role": "assistant", "content": example.expected})
        assert not task.right(example, {"role": "assistant", "content": "I cannot say."})


def test_every_task_but_one_shows_a_picture() -> None:
    pictured = {task.name: picture_of(draw(task, 1)[0]) is not None for task in TASKS}
    assert [name for name, shown in pictured.items() if not shown] == ["no picture"]


def test_case_full_stops_and_the_spelling_of_grey_do_not_matter() -> None:
    example = replace(draw(TASKS[0], 1)[0], expected="Grey.")
    assert same_words(example, {"role": "assistant", "content": "gray"})
    assert not same_words(example, {"role": "assistant", "content": "green"})


def test_a_description_must_name_every_thing() -> None:
    example = replace(draw(TASKS[0], 1)[0], known={"named": ["circle", "red", "blue"]})
    assert names_all(example, {"role": "assistant", "content": "A red circle and a blue square."})
    assert not names_all(example, {"role": "assistant", "content": "A red circle."})
