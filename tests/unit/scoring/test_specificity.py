import pytest

from pipelines.sweeps.scoring.answer import Answer
from pipelines.sweeps.scoring.specificity import specificity, zipf_frequencies

VAGUE = (
    "There are many things that you can do in order to get better at this. It is important to keep going and to "
    "always try your best. Some people find it hard, but others find that it is really not so bad."
)
EXACT = (
    "Marie Curie, born in Warsaw in 1867, isolated radium chloride in 1902 together with Pierre Curie. Her thesis "
    "measured the ionising power of pitchblende with a piezoelectric electrometer."
)


def test_the_concrete_is_far_above_the_vague() -> None:
    vague, exact = specificity(Answer(VAGUE)).score, specificity(Answer(EXACT)).score
    assert vague is not None
    assert exact is not None
    assert vague < 10 < 70 < exact


def test_the_features_are_what_a_hand_counts() -> None:
    """28 words: two numbers; names are Curie, Warsaw, Pierre and Curie, for Marie and Her begin sentences."""
    features = specificity(Answer(EXACT)).features
    assert features["numbers_per_100_words"] == pytest.approx(100 * 2 / 28)
    assert features["names_per_100_words"] == pytest.approx(100 * 4 / 28)


def test_frequencies_are_zipfs() -> None:
    known = zipf_frequencies()
    assert known["the"] == pytest.approx(7.73, abs=0.01)
    assert "zxqv" not in known


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("Two words.", "fewer than 10 words"),
        ("it is what it is and so it is as it was", "none of its words"),
        ("Это предложение написано по-русски, и слов в нём больше десяти.", "Latin"),
    ],
)
def test_what_says_nothing_has_no_score(text: str, reason: str) -> None:
    assert reason in (specificity(Answer(text)).reason or "")


def test_i_is_no_name() -> None:
    assert (
        specificity(Answer("Yes and I think I'd like what I’ve seen of the green valley today.")).features[
            "names_per_100_words"
        ]
        == 0
    )
