import pytest

from pipelines.sweeps.scoring.answer import Answer
from pipelines.sweeps.scoring.readability import ari, flesch, readability
from pipelines.sweeps.scoring.syllables import syllables

PLAIN = "The cat sat on the mat. The dog ran to the big house."


@pytest.mark.parametrize(
    ("word", "count"),
    [
        ("cat", 1), ("table", 2), ("created", 3), ("jumped", 1), ("wanted", 2), ("boxes", 2), ("times", 1),
        ("science", 2), ("photosynthesis", 5), ("the", 1), ("rhythm", 2), ("idea", 3), ("area", 3), ("people", 2),
        ("business", 2), ("well-known", 2), ("didn't", 2), ("don't", 1), ("dog's", 1), ("quickly", 2), ("every", 2),
        ("language", 2), ("question", 2), ("various", 3), ("mmm", 1),
    ],
)  # fmt: skip
def test_syllables_of_common_words(word: str, count: int) -> None:
    assert syllables(word) == count


def test_flesch_of_the_textbook_examples() -> None:
    """Wikipedia's: one sentence of 13 words and 24 syllables, one of 16 and 24."""
    assert flesch(words=13, sentences=1, syllables=24) == pytest.approx(37.5, abs=0.1)
    assert flesch(words=16, sentences=1, syllables=24) == pytest.approx(63.7, abs=0.1)


def test_both_indices_of_a_text_counted_by_hand() -> None:
    """13 words in 2 sentences, 39 letters, 13 syllables."""
    features = readability(Answer(PLAIN)).features
    assert features["flesch_reading_ease"] == pytest.approx(206.835 - 1.015 * 6.5 - 84.6)
    assert features["automated_readability_index"] == pytest.approx(4.71 * 3 + 3.25 - 21.43)
    assert ari(words=13, sentences=2, letters=39) == features["automated_readability_index"]


def test_the_score_is_reading_ease_held_within_its_scale() -> None:
    hard = (
        "Institutional organisational considerations notwithstanding, interdepartmental communication deteriorated "
    )
    assert readability(Answer(PLAIN)).score == 100
    assert readability(Answer(hard + "considerably, necessitating administrative reorganisation.")).score == 0


def test_lists_headings_and_code_do_not_count() -> None:
    around = f"# Considerations\n\n{PLAIN}\n\n- organisational\n- institutional\n\n```\nincomprehensibility\n```"
    assert readability(Answer(around)) == readability(Answer(PLAIN))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "the answer has no words"),
        ("Paris.", "fewer than 10 words of running text"),
        ("```\nx = 1\n```", "the answer has no words outside of code"),
        ("- one item\n- another item of a list\n- and one more of them all", "fewer than 10 words of running text"),
        ("Это предложение написано по-русски, и слов в нём больше десяти.", "not in Latin script"),
        ("東京は日本の首都であり、世界で最も人口の多い都市の一つである。", "without spaces"),
        (
            "Der schnelle braune Fuchs springt über den faulen Hund, während die Sonne langsam hinter den Bergen "
            "versinkt und der Abend beginnt.",
            "does not read like English",
        ),
    ],
)
def test_what_it_is_not_made_for_has_no_score_and_a_reason(text: str, reason: str) -> None:
    found = readability(Answer(text))
    assert found.score is None
    assert reason in (found.reason or "")
