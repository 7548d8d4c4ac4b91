"""`POST /api/v1/rag/query`: grounded answers through the same door as all chats."""

import json
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from cluster.errors import Unavailable
from cluster.types import ChatCall, ModelCard
from tests.unit.gateway.conftest import LocalModel, settings_with, started
from tests.unit.gateway.rag.conftest import Api, Wide, api_over
from tests.unit.gateway.rag.passages import Shelf, passage

BRIDGE = "The toll of the Amber Bridge is three copper coins."
MILL = "The mill grinds barley on Thursdays."
SMALL = {"answer_tokens": 8}  # as the model's context is


def told(text: str, *, finish: str = "stop") -> Wide:
    """A model that says this."""
    usage = {"prompt_tokens": 30, "completion_tokens": 5, "total_tokens": 35}
    choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": finish}
    return Wide([], answer={"id": "c", "created": 1, "model": "echo", "choices": [choice], "usage": usage})


class Narrow(LocalModel):
    """A model whose replica refuses what its card allows. asked: the prompts that came."""

    def __init__(self, inner: LocalModel, wide: int) -> None:
        super().__init__(inner.engine)
        self.wide = wide
        self.asked: list[str] = []

    async def card(self) -> ModelCard:
        from dataclasses import replace

        card = await super().card()
        return replace(card, capabilities=replace(card.capabilities, context_length=self.wide))

    async def chat(self, call: ChatCall) -> bytes:
        self.asked.append(json.loads(call.body)["messages"][0]["content"])
        return await super().chat(call)


async def test_an_answer_shows_where_it_is_from_and_its_words(api: Callable[..., Api]) -> None:
    shelf = Shelf([passage(BRIDGE, page=2, start=100, document="b"), passage(MILL, cosine=0.5)])
    model = told(" Three copper coins. ")
    answer = (await api(model, shelf, documents={"answer_tokens": 8}).query()).json()
    bridge, mill = answer.pop("citations")
    assert answer == {
        "answer": "Three copper coins.",
        "model": "echo",
        "finish_reason": "stop",
        "usage": {"prompt_tokens": 30, "completion_tokens": 5, "total_tokens": 35},
        "unverified_quotes": [],
        "abstained": False,
        "confidence": pytest.approx(1, abs=1e-3),
    }
    (quote,) = bridge["quotes"]
    assert (bridge["document_id"], bridge["page"], bridge["cited"]) == ("b", 2, True)
    assert BRIDGE[quote["start"] - 100 : quote["end"] - 100] == quote["text"] == "three copper coins"
    assert (quote["answer_start"], quote["answer_end"]) == (0, 18)
    assert (mill["cited"], mill["quotes"]) == (False, [])


async def test_the_model_is_asked_greedily_and_briefly_and_with_what_was_sent(api: Callable[..., Api]) -> None:
    model = told("x")
    asked = api(model, Shelf([passage(BRIDGE)]), documents=SMALL)
    await asked.query()
    await asked.query(temperature=0.5, max_tokens=3, stop=["."], seed=7, top_p=0.5, user="ann")
    first, second = model.calls
    assert first == {
        "model": "echo",
        "messages": [{"role": "user", "content": (
            "Answer from the passages. If they do not hold the answer, say: The documents don't say.\n\n"
            f"[1] {BRIDGE}\n\nQuestion: What is the toll?"
        )}],
        "temperature": 0,
        "max_tokens": 8,
    }  # fmt: skip
    sent = {"temperature": 0.5, "max_tokens": 3, "stop": ["."], "seed": 7, "top_p": 0.5, "user": "ann"}
    assert second == {**first, **sent}


async def test_without_a_passage_worth_showing_no_model_is_asked(api: Callable[..., Api]) -> None:
    model = told("x")
    asked = api(model, Shelf([passage(MILL, cosine=0.25)]))
    answer = (await asked.query("Who wrote Faust?")).json()
    assert answer == {
        "answer": "The documents don't say.",
        "model": "echo",
        "finish_reason": "stop",
        "usage": {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0},
        "citations": [],
        "unverified_quotes": [],
        "abstained": True,
        "confidence": pytest.approx(0.063, abs=1e-3),
    }
    assert model.calls == []
    assert (await api(model).query()).json()["confidence"] == 0
    assert (await asked.query("Who wrote Faust?", min_score=0.2)).json()["answer"] == "x"


async def test_a_model_that_abstains_says_so_too(api: Callable[..., Api]) -> None:
    answer = (await api(told("the documents don't say"), Shelf([passage(BRIDGE)]), documents=SMALL).query()).json()
    assert (answer["abstained"], len(answer["citations"])) == (True, 1)


async def test_what_nobody_says_is_told_apart(api: Callable[..., Api]) -> None:
    model = told('It is "four silver coins" [1].')
    answer = (await api(model, Shelf([passage(BRIDGE)]), documents=SMALL).query()).json()
    assert answer["unverified_quotes"] == ["four silver coins"]
    assert (answer["citations"][0]["cited"], answer["citations"][0]["quotes"]) == (True, [])


async def test_auto_chooses_who_answers(api: Callable[..., Api], model: LocalModel) -> None:
    answer = (await api(model, Shelf([passage(BRIDGE)]), documents=SMALL).query(model="auto")).json()
    assert (answer["model"], answer["citations"][0]["cited"]) == ("echo", True)


async def test_an_answer_is_in_the_records_of_its_model(api: Callable[..., Api], model: LocalModel) -> None:
    asked = api(model, Shelf([passage(BRIDGE)]), documents=SMALL)
    answer = (await asked.query()).json()
    (visit,) = asked.chats.records.visits  # type: ignore[attr-defined]
    assert (visit.model, visit.outcome) == ("echo", "answered")
    assert visit.usage.total_tokens == answer["usage"]["total_tokens"] > 0


async def test_a_provider_narrows_who_may_answer(api: Callable[..., Api]) -> None:
    asked = api(told("x"), Shelf([passage(BRIDGE)]), documents=SMALL)
    for name in ({}, {"model": "auto"}, {"model": "echo"}):
        assert (await asked.query(provider="local", **name)).json()["model"] == "echo"
    answers = [await asked.query(provider="far"), await asked.query(provider="local", model="gpt")]
    assert [(answer.status_code, answer.json()["error"]["code"]) for answer in answers] == [
        (404, "provider_not_found"),
        (404, "model_not_found"),
    ]


async def test_a_fallback_answers_where_the_model_cannot(model: LocalModel) -> None:
    class Away(LocalModel):
        async def chat(self, call: ChatCall) -> bytes:
            raise Unavailable("gone")

    models: list[dict[str, Any]] = [{"id": name, "engine": {"kind": "scripted"}} for name in ("away", "echo")]
    models[0]["fallbacks"] = ["echo"]
    settings = settings_with(models=[*models, {"id": "hash", "engine": {"kind": "hash", "dimensions": 16}}])
    asked = api_over({"away": Away(model.engine), "echo": model}, Shelf([passage(BRIDGE)]), settings)
    answer = await asked.query(model="away", max_tokens=8)
    assert (answer.status_code, answer.json().get("model")) == (200, "echo"), answer.text


async def test_as_many_passages_are_shown_as_the_model_has_room_for(api: Callable[..., Api]) -> None:
    shelf = Shelf([passage(f"Toll {number}. " + "word " * 10) for number in range(9)])
    narrow = Narrow(await started(), wide=64)
    answer = (await api(narrow, shelf, documents=SMALL).query(limit=9)).json()
    assert (len(answer["citations"]), len(narrow.asked)) == (1, 1)  # by its card: no prompt went in vain
    roomy = Narrow(await started(), wide=4096)
    answer = (await api(roomy, shelf, documents=SMALL).query(limit=9)).json()
    assert [prompt.count("\n[") for prompt in roomy.asked] == [9, 8, 7, 6, 5, 4, 3, 2]
    assert len(answer["citations"]) == 2


async def test_a_question_that_fits_with_no_passage_is_refused(api: Callable[..., Api], model: LocalModel) -> None:
    answer = await api(model, Shelf([passage("word " * 99)]), documents=SMALL).query()
    error = answer.json()["error"]
    assert (answer.status_code, error["code"], error["param"]) == (400, "context_length_exceeded", "query")


@pytest.mark.parametrize(
    ("fields", "status", "code", "param"),
    [
        ({"model": "gpt"}, 404, "model_not_found", "model"),
        ({"model": "gpt", "query": "nothing is found"}, 404, "model_not_found", "model"),
        ({"max_tokens": 0}, 400, "invalid_request", "max_tokens"),
        ({"temperature": 3}, 400, "invalid_request", "temperature"),
        ({"stream": "yes"}, 400, "invalid_request", "stream"),
        ({"messages": []}, 400, "invalid_request", "messages"),
        ({"where": {"type": "eq"}}, 400, "invalid_request", "where.key"),
        ({"collection": "theirs"}, 404, "collection_not_found", "collection"),
    ],
)
async def test_what_cannot_be_done_is_refused_before_anything_is_found(
    api: Callable[..., Api], model: LocalModel, fields: Mapping[str, Any], status: int, code: str, param: str
) -> None:
    asked = api(model)
    for stream in ({}, {"stream": True}):
        answer = await asked.client.post("/api/v1/rag/query", json={"query": "q", **stream, **fields})
        error = answer.json()["error"]
        assert (answer.status_code, error["code"], error["param"]) == (status, code, param)
    assert asked.shelf.calls == []


async def test_a_parameter_that_the_model_does_not_honour_is_named(api: Callable[..., Api]) -> None:
    model = told("x")
    model.parameters = frozenset({"max_tokens", "temperature"})
    answer = await api(model, Shelf([passage(BRIDGE)]), documents=SMALL).query(seed=1)
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "seed")


async def test_a_question_counts_once_whether_a_model_answers_or_not(
    api: Callable[..., Api], model: LocalModel
) -> None:
    for shelf in (Shelf([passage(BRIDGE)]), Shelf()):
        asked = api(model, shelf, documents=SMALL, limits={"rates": {"requests_per_minute": 2}})
        assert [(await asked.query()).status_code for _ in range(3)] == [200, 200, 429]
        assert len(shelf.calls) == 2, "who is over the limit does not even search"
