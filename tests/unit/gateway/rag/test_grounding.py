"""The prompt that shows passages, and how many fit."""

import pytest

from pipelines.documents.grounding import abstains, fit, message
from tests.unit.gateway.rag.passages import passage


def test_the_prompt_is_the_one_that_the_builtin_model_knows() -> None:
    shown = message([passage("Rain\nfalls."), passage("Snow  too.")], "What\nfalls?")
    assert shown == (
        "Answer from the passages. If they do not hold the answer, say: The documents don't say.\n\n"
        "[1] Rain falls.\n[2] Snow too.\n\nQuestion: What falls?"
    )


def test_the_last_passages_go_until_the_prompt_fits_and_the_best_stays() -> None:
    passages = tuple(passage(letter * 300) for letter in "abcd")
    assert fit(passages, "q?", context_length=4096, answer_tokens=96) == 4
    assert fit(passages, "q?", context_length=400, answer_tokens=96) == 2
    assert fit(passages, "q?", context_length=100, answer_tokens=96) == 1


@pytest.mark.parametrize(
    ("answer", "abstained"),
    [
        ("The documents don't say.", True),
        (" the documents don't say ", True),
        ("The documents don't say who.", False),
        ("", False),
    ],
)
def test_an_answer_abstains_in_the_words_of_its_prompt_alone(answer: str, abstained: bool) -> None:
    assert abstains(answer) is abstained
