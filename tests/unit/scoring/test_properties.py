import math
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.sweeps.scoring.diversity import diversity, repeat_of
from pipelines.sweeps.scoring.lexical import hdd, mattr
from pipelines.sweeps.scoring.scorers import VERSIONS, Scorers
from pipelines.sweeps.scoring.text import score_text
from tests.unit.scoring.conftest import embed

# fmt: off
PIECES = st.sampled_from([
    "The", "sea",
    "is", "wide.", "\n\n", "- ", "```\n", "# ", "| ", "1. ", "水。", "😀", "\u202e", "e\u0301", "\x00",
    "(", "}", "Dr.", "…", "12", "https://x.y", "*", "`", "<b>", "क्ष", "ﬀ", "\u2028", "\ud800", "!", "'s", "-",
])
HUGE = [
    "word and the thing is 12. ",
    ".", "a\n", "[", "```\n", "<a", "*", "- a\n", "漢字です。", "a-", "”.", "![a](b", "_a",
    "\n x", "Dr. ",
]
# fmt: on
TEXTS = st.one_of(st.text(max_size=300), st.lists(PIECES, max_size=80).map(" ".join))
PROMPTS = st.sampled_from(["", "Tell me.", "In 5 words.", "Answer in JSON.", "List three things.", 'Use "sea".'])


@settings(max_examples=30, deadline=None)
@given(text=TEXTS, prompt=PROMPTS)
def test_any_text_has_scores_within_bounds_or_a_reason_and_always_the_same(text: str, prompt: str) -> None:
    scorers = Scorers(embed=embed)
    found = score_text(text, prompt=prompt, finish_reason="stop", scorers=scorers)
    assert found == score_text(text, prompt=prompt, finish_reason="stop", scorers=scorers)
    assert all(0 <= score <= 100 for score in found.scores.values())
    assert found.scores.keys() | found.absent.keys() == VERSIONS.keys()
    assert not found.scores.keys() & found.absent.keys()
    assert all(found.absent.values())
    assert all(math.isfinite(value) for value in found.features.values() if isinstance(value, float))


@settings(max_examples=25, deadline=None)
@given(texts=st.lists(TEXTS, min_size=2, max_size=5))
def test_diversity_of_anything_is_within_bounds(texts: list[str]) -> None:
    found = diversity([repeat_of(text, text.split()) for text in texts])
    assert found.score is None or 0 <= found.score <= 100


@settings(max_examples=20, deadline=None)
@given(words=st.lists(st.sampled_from("abcdefgh"), min_size=50, max_size=200), times=st.integers(2, 4))
def test_lexical_measures_are_shares_that_no_order_of_names_changes(words: list[str], times: int) -> None:
    assert 0 < hdd(words) <= 1
    assert 0 < mattr(words) <= 1
    renamed = [f"{word}x" for word in words]
    assert (hdd(renamed), mattr(renamed)) == (hdd(words), mattr(words))


@pytest.mark.parametrize("piece", HUGE)
def test_time_is_in_proportion_to_length(piece: str) -> None:
    """50,000 characters of what could make a pattern go back and forth: a square would take minutes."""
    text = piece * (50_000 // len(piece))
    started = time.process_time()
    score_text(
        f"a{text}b", prompt="List 5 things. Answer in JSON.", finish_reason="stop", scorers=Scorers(embed=embed)
    )
    assert time.process_time() - started < 10


def test_repeats_of_any_length_are_compared_in_bounded_time() -> None:
    texts = [f"{n} " + "the sea is wide and blue " * 20_000 for n in range(6)]
    repeats = [repeat_of(text, text.split()) for text in texts]
    started = time.process_time()
    assert diversity(repeats).score is not None
    assert time.process_time() - started < 10
