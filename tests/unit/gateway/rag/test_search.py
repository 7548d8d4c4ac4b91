"""`POST /api/v1/rag/search`: what the retriever is asked, and what is shown of what it finds."""

from collections.abc import Callable
from typing import Any

import pytest

from cluster.documents import LegWeights, SearchCall, SearchMode
from cluster.errors import EmbedderMismatch
from tests.unit.gateway.conftest import LocalModel
from tests.unit.gateway.rag.conftest import Api
from tests.unit.gateway.rag.passages import Shelf, passage

BRIDGE = "The toll of the Amber Bridge is three copper coins."


async def test_a_passage_is_shown_with_its_place_and_all_its_scores(
    api: Callable[..., Api], model: LocalModel
) -> None:
    found = passage(BRIDGE, cosine=0.5, bm25=7.25, score=0.032786885, page=3, start=40, source="b.pdf")
    told = (await api(model, Shelf([found])).search("toll")).json()
    assert told == {
        "passages": [
            {
                "index": 1,
                "document_id": "d",
                "source": "b.pdf",
                "page": 3,
                "start": 40,
                "end": 40 + len(BRIDGE),
                "heading": None,
                "score": 0.032787,
                "cosine": 0.5,
                "bm25": 7.25,
                "evidence": 0.575,
                "confidence": pytest.approx(0.987, abs=1e-3),
                "text": BRIDGE,
            }
        ]
    }


async def test_the_retriever_is_asked_what_the_client_asked(api: Callable[..., Api], model: LocalModel) -> None:
    asked = api(model, documents={"passages": 7})
    where = {"type": "gt", "key": "year", "value": 1999}
    await asked.search()
    await asked.search(
        collection="books", mode="bm25", limit=3, filters=where, tags=["a", "b", "a"], diversity=0.5, per_document=2
    )
    tagged = [{"type": "eq", "key": "tags", "value": tag} for tag in "ab"]
    assert asked.shelf.calls == [
        SearchCall(query="toll", limit=7, collection="documents"),
        SearchCall(
            query="toll",
            limit=3,
            collection="t-local-books",
            mode=SearchMode.BM25,
            where={"type": "and", "filters": [where, *tagged]},
            diversity=0.5,
            per_document=2,
        ),
    ]
    await asked.search(tags=["a"])
    assert asked.shelf.calls[-1].where == tagged[0]


async def test_weights_go_to_the_fusion_and_nowhere_else(api: Callable[..., Api], model: LocalModel) -> None:
    asked = api(model)
    await asked.search(weights={"dense": 3})
    assert asked.shelf.calls[-1].weights == LegWeights(dense=3.0, bm25=1.0)
    for wrong, param in (
        ({"mode": "dense", "weights": {"dense": 2}}, "weights"),
        ({"weights": {"bm25": 0}}, "weights.bm25"),
        ({"weights": {"meaning": 1}}, "weights.meaning"),
    ):
        answer = await asked.search(**wrong)
        assert (answer.status_code, answer.json()["error"]["param"]) == (400, param)
    assert len(asked.shelf.calls) == 1


async def test_each_person_searches_their_own_collection(api: Callable[..., Api], model: LocalModel) -> None:
    asked = api(model)
    asked.client.headers["x-owner"] = "ann"
    await asked.search(collection="books")
    assert asked.shelf.calls[0].collection == "t-ann-books"
    answers = [await asked.search(collection="theirs"), await asked.search(collection="filled")]
    assert [answer.status_code for answer in answers] == [404, 404]
    assert {answer.json()["error"]["code"] for answer in answers} == {"collection_not_found"}


async def test_passages_of_too_little_evidence_are_left_out(api: Callable[..., Api], model: LocalModel) -> None:
    shelf = Shelf([passage("a toll", cosine=0.5), passage("words", cosine=0.4), passage("a toll", cosine=0.3)])
    told = (await api(model, shelf).search("toll", min_score=0.375)).json()["passages"]
    assert [(one["index"], one["cosine"]) for one in told] == [(1, 0.5), (2, 0.4), (3, 0.3)]
    told = (await api(model, shelf).search("toll", min_score=0.4)).json()["passages"]
    assert [(one["index"], one["cosine"]) for one in told] == [(1, 0.5)]


async def test_a_ranking_model_puts_the_candidates_into_its_order(
    api: Callable[..., Api], model: LocalModel
) -> None:
    shelf = Shelf(
        [passage(text) for text in ("mice eat cheese", "a star is the sun at night", "the sun is a star")]
    )
    asked = api(model, shelf)
    told = (await asked.search("the sun is a star", rerank="hash", limit=2)).json()["passages"]
    assert [one["text"] for one in told] == ["the sun is a star", "a star is the sun at night"]
    assert told[0]["score"] == pytest.approx(1, abs=1e-5)
    assert asked.shelf.calls[0].limit == 50


@pytest.mark.parametrize(("name", "status"), [("echo", 400), ("nobody", 404)])
async def test_a_model_that_cannot_rank_is_refused(
    api: Callable[..., Api], model: LocalModel, name: str, status: int
) -> None:
    answer = await api(model, Shelf([passage("x")])).search(rerank=name)
    assert (answer.status_code, answer.json()["error"]["param"]) == (status, "rerank")


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"query": ""}, "query"),
        ({"query": "q" * 100_000}, "query"),
        ({"query": 3}, "query"),
        ({"query": "q", "limit": 0}, "limit"),
        ({"query": "q", "limit": 101}, "limit"),
        ({"query": "q", "mode": "magic"}, "mode"),
        ({"query": "q", "where": []}, "where"),
        ({"query": "q", "where": {"type": "eq"}}, "where.key"),
        (
            {"query": "q", "filters": {"type": "and", "filters": [{"type": "eq", "value": 1}]}},
            "filters.filters[0].key",
        ),
        ({"query": "q", "where": {}, "filters": {}}, None),
        ({"query": "q", "tags": []}, "tags"),
        ({"query": "q", "tags": [""]}, "tags[0]"),
        ({"query": "q", "diversity": 1.5}, "diversity"),
        ({"query": "q", "rerank": "hash", "diversity": 0.5}, "rerank"),
        ({"query": "q", "per_document": 0}, "per_document"),
        ({"query": "q", "min_score": "high"}, "min_score"),
        ({"query": "q", "collection": ""}, "collection"),
        ({"query": "q", "model": "echo"}, "model"),
        ({"query": "q", "top_k": 3}, "top_k"),
        ({}, "query"),
    ],
)
async def test_wrong_fields_are_named(
    api: Callable[..., Api], model: LocalModel, body: dict[str, Any], param: str | None
) -> None:
    answer = await api(model).client.post("/api/v1/rag/search", json=body)
    assert (answer.status_code, answer.json()["error"].get("param")) == (400, param)


async def test_what_the_retriever_refuses_is_told(api: Callable[..., Api], model: LocalModel) -> None:
    answer = await api(model, Shelf(error=EmbedderMismatch("made with another"))).search()
    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "embedder_mismatch")


async def test_a_search_counts_as_a_request(api: Callable[..., Api], model: LocalModel) -> None:
    asked = api(model, limits={"rates": {"requests_per_minute": 2}})
    assert [(await asked.search()).status_code for _ in range(3)] == [200, 200, 429]
    assert len(asked.shelf.calls) == 2
