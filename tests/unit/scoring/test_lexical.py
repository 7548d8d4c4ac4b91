import random

import pytest

from pipelines.sweeps.scoring.answer import Answer
from pipelines.sweeps.scoring.lexical import hdd, lexical_diversity, mattr

TALE = (  # noqa: SIM905 - a text is read as a text
    "the cat sat on the mat and the dog sat on the log while the bird in the tree sang a song about the cat and "
    "the dog and the mat and the log until the sun went down over the hill and all the animals of the farm went "
    "home to sleep in the warm straw of the old red barn by the river"
).split()


def test_both_are_what_the_reference_packages_give() -> None:
    """lexicalrichness 0.5.1 and lexical-diversity 0.1.1 agree on these."""
    assert hdd(TALE) == pytest.approx(0.6203585912209344)
    assert mattr(TALE) == pytest.approx(0.60375)


def test_they_are_what_a_hand_computes() -> None:
    """Two of a, b, b, b drawn: one type in 3 of 6 draws, two in the others. Windows ab, bb, bb."""
    assert hdd(["a", "b", "b", "b"], draw=2) == pytest.approx((3 * 1 + 3 * 2) / 6 / 2)
    assert mattr(["a", "b", "b", "b"], window=2) == pytest.approx((1 + 0.5 + 0.5) / 3)


def test_all_different_words_have_one_and_the_same_word_the_least() -> None:
    assert hdd([str(n) for n in range(60)]) == pytest.approx(1)
    assert mattr([str(n) for n in range(60)]) == 1
    assert hdd(["a"] * 60) == pytest.approx(1 / 42)


def test_they_stay_flat_while_a_text_grows_and_the_share_of_types_falls() -> None:
    source = random.Random(1)
    vocabulary = [f"w{n}" for n in range(2000)]
    weights = [1 / (n + 1) for n in range(2000)]
    text = source.choices(vocabulary, weights, k=3200)
    short, long = text[:200], text
    assert len(set(short)) / len(short) > 1.5 * len(set(long)) / len(long)
    assert hdd(short) == pytest.approx(hdd(long), abs=0.04)
    assert mattr(short) == pytest.approx(mattr(long), abs=0.04)


def test_the_score_is_a_hundred_times_their_mean_in_any_letter_case() -> None:
    expected = 50 * (0.6203585912209344 + 0.60375)
    assert lexical_diversity(Answer(" ".join(TALE))).score == pytest.approx(expected)
    assert lexical_diversity(Answer(" ".join(TALE).upper())).score == pytest.approx(expected)


def test_a_short_answer_has_none() -> None:
    assert lexical_diversity(Answer(" ".join(TALE[:49]))).reason == "fewer than 50 words"


def test_it_is_for_every_language_that_writes_words_apart() -> None:
    russian = Answer("слово и ещё другое слово здесь, а там ничего такого нет. " * 10)
    assert lexical_diversity(russian).score is not None
    assert lexical_diversity(Answer("漢字です。" * 50)).score is None
