from itertools import permutations

import pytest

from pipelines.sweeps.scoring.diversity import MOST_PAIRS, Repeat, bleu, diversity, repeat_of, repetition

SEA = "the sea is wide and blue and the wind is cold today"
HILL = "a hill stands green beside our village where sheep graze all summer"


def repeat(text: str) -> Repeat:
    return repeat_of(text, text.split())


def score(*texts: str) -> float:
    found = diversity([repeat(text) for text in texts]).score
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("one", "other", "value"),
    [
        ("the cat sat on the mat today", "the cat sat on a mat", 0.434721),
        ("a quick brown fox jumps over the lazy dog", "the quick brown fox jumped over the lazy dog", 0.43167),
        ("yes it is", "no it is not", 0.394322),
        ("one two three four five six", "six five four three two one", 0.127033),
        ("hello", "hello", 1),
        ("alpha beta", "gamma delta", 0),
        ("the the the the", "the cat", 0.159736),
    ],
)
def test_bleu_is_that_of_sacrebleu(one: str, other: str, value: float) -> None:
    """sacrebleu 2.6.0: sentence_bleu with tokenize="none", smooth_method="exp", use_effective_order=True."""
    assert bleu(repeat(one), repeat(other)) == pytest.approx(value, abs=1e-6)


def test_repetition_is_the_share_of_four_grams_that_another_has() -> None:
    """a b c d, b c d e, c d e f; the other has the second and third."""
    assert repetition(repeat("a b c d e f"), repeat("x b c d e f")) == pytest.approx(2 / 3)
    assert repetition(repeat("yes"), repeat("yes")) == 1
    assert repetition(repeat("yes"), repeat("no")) == 0


def test_the_same_answer_again_has_no_diversity_and_strange_ones_have_much() -> None:
    assert score(SEA, SEA, SEA) == 0
    assert score("Yes", "Yes") == 0
    assert score(SEA, HILL) > 85
    assert score(SEA, HILL) > score(SEA, SEA.replace("cold", "warm")) > 0


def test_order_of_the_repeats_is_nothing() -> None:
    texts = [SEA, HILL, SEA.replace("blue", "grey")]
    assert len({round(score(*order), 9) for order in permutations(texts)}) == 1


def test_more_repeats_of_the_same_kind_do_not_change_what_is_expected() -> None:
    """Pairs count: with all others as references nine repeats would look more alike than three."""
    texts = [SEA.replace("cold", f"number{n}") for n in range(9)]
    assert score(*texts) == pytest.approx(score(*texts[:3]), abs=1.5)


def test_many_repeats_are_compared_by_a_draw_that_is_always_the_same() -> None:
    texts = [f"{SEA} {n} {HILL[n:]}" for n in range(20)]
    assert len(texts) * (len(texts) - 1) / 2 > MOST_PAIRS
    assert score(*texts) == score(*texts)


def test_one_repeat_has_none_and_neither_have_answers_without_words() -> None:
    assert diversity([]).score is None
    assert "two repeats" in (diversity([repeat(SEA)]).reason or "")
    assert diversity([repeat(""), repeat("")]).reason == "no repeat has words"


def test_an_empty_answer_beside_a_full_one_is_as_different_as_can_be() -> None:
    assert score("", SEA) == 100


def test_the_features_tell_each_likeness() -> None:
    features = diversity([repeat(SEA), repeat(SEA)]).features
    assert (features["self_bleu"], features["self_repetition"], features["compression_distance"]) == (1, 1, 0)
    assert features["compression_ratio"] > 1.5
    assert features["repeats"] == 2
