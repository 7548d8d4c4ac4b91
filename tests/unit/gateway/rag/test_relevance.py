"""What speaks for a passage: its cosine, and the question's words in it."""

import pytest

from cluster.retrieval.relevance import judge
from tests.unit.gateway.rag.passages import passage

TEXT = "The toll of the Amber Bridge is three copper coins."


def evidence(question: str, *, cosine: float | None) -> float:
    return judge(question, [passage(TEXT, cosine=cosine)])[0].evidence


def test_shared_words_add_to_the_cosine_and_missing_ones_take_from_it() -> None:
    assert evidence("What is the toll of the Amber Bridge?", cosine=0.4) == pytest.approx(0.475)
    assert evidence("Who wrote Faust?", cosine=0.4) == pytest.approx(0.375)
    assert evidence("Which bridges have tolls?", cosine=0.4) == pytest.approx(0.475)  # by their stems


@pytest.mark.parametrize("question", ["", "?!", "the of"])
def test_a_question_without_a_word_of_its_own_is_judged_by_the_cosine(question: str) -> None:
    assert evidence(question, cosine=0.4) == 0.4


def test_words_that_only_ask_count_where_there_are_no_others() -> None:
    text = passage("He asked how and why.", cosine=0.4)
    assert judge("How, and why?", [text])[0].evidence > 0.4


def test_a_passage_that_its_words_found_is_judged_by_them() -> None:
    assert evidence("What is the toll of the Amber Bridge?", cosine=None) == 0.5
    assert evidence("Who built the Amber Palace in Agra?", cosine=None) < 0.3


def test_no_passage_has_to_hold_all_of_a_long_question() -> None:
    words = "toll amber bridge three copper coins"
    assert evidence(f"{words} and a whole abstract about ferries, tunnels, roads and rails", cosine=None) == 0.5


def test_confidence_grows_with_the_evidence_between_nothing_and_one() -> None:
    found = [
        judge("zebra", [passage("toll", cosine=cosine)])[0].confidence for cosine in (-1.0, 0.2, 0.385, 0.6, 1.0)
    ]
    assert found == sorted(found)
    assert found[2] == pytest.approx(0.5)
    assert 0 < found[0] < 0.02 < 0.98 < found[-1] < 1
