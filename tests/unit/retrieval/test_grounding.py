import json

from cluster.types import Chunk, Passage
from deployments.retrieval.grounding import body, fit, message, worth_showing


def passage(text: str, score: float = 0.9) -> Passage:
    chunk = Chunk(id="c", document_id="d", source="a.txt", ordinal=0, start=0, end=len(text), text=text, tokens=1)
    return Passage(chunk=chunk, score=score)


def test_the_prompt_is_the_one_that_the_builtin_model_knows() -> None:
    shown = message([passage("Rain\nfalls."), passage("Snow  too.")], "What\nfalls?")
    assert shown == (
        "Answer from the passages. If they do not hold the answer, say: The documents don't say.\n\n"
        "[1] Rain falls.\n[2] Snow too.\n\nQuestion: What falls?"
    )


def test_the_request_is_greedy_and_bounded() -> None:
    request = json.loads(body("m", [passage("Rain.")], "What?", 96))
    assert (request["model"], request["temperature"], request["max_tokens"]) == ("m", 0, 96)
    assert [turn["role"] for turn in request["messages"]] == ["user"]


def test_passages_below_the_score_are_not_shown() -> None:
    found = [passage("a", 0.5), passage("b", 0.2), passage("c", 0.19)]
    assert [one.chunk.text for one in worth_showing(found, 0.2)] == ["a", "b"]


def test_the_last_passages_go_until_the_prompt_fits_and_the_best_stays() -> None:
    passages = tuple(passage(letter * 300) for letter in "abcd")
    assert fit(passages, "q?", context_length=4096, answer_tokens=96) == passages
    assert fit(passages, "q?", context_length=400, answer_tokens=96) == passages[:2]
    assert fit(passages, "q?", context_length=100, answer_tokens=96) == passages[:1]
