import pytest

from pipelines.sweeps.scoring.answer import Answer
from pipelines.sweeps.scoring.completeness import completeness
from pipelines.sweeps.scoring.coverage import coverage, valid_json
from pipelines.sweeps.scoring.items import items_in


def score(text: str, prompt: str, reason: str = "stop") -> float | None:
    return coverage(Answer(text, prompt=prompt, finish_reason=reason)).score


def test_where_nothing_is_asked_for_it_is_completeness_1() -> None:
    for text, reason in (("All is said.", "stop"), ("All is s", "length"), ("", "stop"), ("A (b.", "stop")):
        assert score(text, "Tell me of it.", reason) == completeness(text, reason)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{"a": [1, "]"]}', 100),  # the bracket within a string is no bracket
        ('Here it is:\n```json\n{"a": 1}\n```', 100),
        ('{"a": 1', 30),  # (50 + 10) × 0.5
        ("It is one.", 50),
        ("NaN", 35),
    ],
)
def test_json_that_was_asked_for_counts_half(text: str, expected: float) -> None:
    assert score(text, "Answer in JSON.") == expected


def test_json_may_be_asked_for_by_a_parameter() -> None:
    assert coverage(Answer("It is one.", finish_reason="stop", json=True)).score == 50


def test_missing_items_cost_their_share_of_one_half() -> None:
    assert score("- a\n- b\n- c.", "Give me a list of 4 things.") == 100 * (0.5 + 0.5 * 3 / 4)
    assert score("- a\n- b\n- c\n- d\n- e.", "Give me a list of 4 things.") == 100


def test_words_to_use_are_looked_for_in_any_case() -> None:
    assert score("The Sun shines.", 'Use "sun" and "moon".') == 75


def test_an_empty_answer_has_nothing() -> None:
    assert score("", "Answer in JSON with a list of 5 names.") == 0


@pytest.mark.parametrize(
    ("text", "valid"),
    [
        ("[1]", True), ("3", True), ("[1", False), ("[NaN]", False), ("", False), ("[" * 100_000, False),
        ("```\n1\n```\n```\n2\n```", False), ("9" * 10_000, False),
    ],
)  # fmt: skip
def test_valid_json_is_told_from_the_rest(text: str, valid: bool) -> None:
    assert valid_json(text) is valid


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("1. a\n2. b\n   - nested\n   - nested\n3. c", 3),
        ("Intro:\n\n* a\n* b\n\nOutro.", 2),
        ("Red\nGreen\nBlue", 3),
        ("Red, green, and blue.", 3),
        ("The colours are: red; green", 2),
        ("Red", 1),
        ("One sentence. And another one, with a comma.", None),
        ("A long line that has far more words than an item would have.\nAnother", None),
        ('["a", "b"]', 2),
        ('{"names": ["a", "b", "c"], "n": 3}', 3),
        ('{"a": 1}', None),
        ("[broken", None),
        ("", None),
    ],
)
def test_items_are_counted_where_they_can_be(text: str, count: int | None) -> None:
    assert items_in(Answer(text)) == count
