import pytest

from pipelines.sweeps.scoring.answer import Answer
from pipelines.sweeps.scoring.length import against_median, against_prompt, fit


@pytest.mark.parametrize(
    ("found", "least", "most", "score"),
    [
        (50, 45, 55, 100),
        (55, 45, 55, 100),
        (110, 45, 55, 50),
        (220, 45, 55, 0),
        (9999, 45, 55, 0),
        (22.5, 45, 55, 50),
        (0, 45, 55, 0),
        (3, 1, 100, 100),
        (500, 300, None, 100),
        (150, 300, None, 50),
    ],
)
def test_each_doubling_beyond_the_bound_costs_fifty(
    found: float, least: float, most: float | None, score: float
) -> None:
    assert fit(found, least=least, most=most) == pytest.approx(score)


def of(text: str, prompt: str) -> float | None:
    return against_prompt(Answer(text, prompt=prompt)).score


def test_words_sentences_and_items_are_held_against_the_prompt() -> None:
    assert of("word " * 50, "In 50 words.") == 100
    assert of("One. Two. Three.", "Explain in three sentences.") == 100
    assert of("One. Two. Three. Four. Five. Six.", "Explain in three sentences.") == 50
    assert of("- a\n- b\n- c\n- d", "Give me a list of 2 things.") == 50
    assert of("Red, green and blue.", "Name three colours.") == 100


def test_of_several_targets_the_mean_counts() -> None:
    assert of("One. Two.", "Write at least 4 words in two sentences.") == pytest.approx((50 + 100) / 2)


def test_an_empty_answer_misses_every_target() -> None:
    assert of("", "In 50 words.") == 0
    assert of("", "Use at most 50 words.") == 0


def test_a_prompt_without_a_target_leaves_it_to_the_other_answers() -> None:
    assert of("Anything at all.", "Tell me of the sea.") is None
    assert against_median(100, 100, 3).score == 100
    assert against_median(400, 100, 9).score == 0
    assert "fewer than 3" in (against_median(100, 100, 2).reason or "")


def test_words_that_cannot_be_counted_are_not() -> None:
    assert of("漢字です。" * 10, "In 50 words.") is None
