"""`/v1/score` and `/v1/rerank` over the hashing embedder: texts that share words are close."""

from typing import Any

import httpx
import pytest

DOCUMENTS = ["mice eat cheese", "the sun is a star", "a star is the sun at night"]


async def score(client: httpx.AsyncClient, path: str = "/v1/score", **fields: Any) -> httpx.Response:
    return await client.post(path, json={"model": "hash", **fields})


async def rerank(client: httpx.AsyncClient, path: str = "/v1/rerank", **fields: Any) -> httpx.Response:
    body = {"model": "hash", "query": "the sun is a star", "documents": DOCUMENTS, **fields}
    return await client.post(path, json=body)


@pytest.mark.parametrize("names", [("text_1", "text_2"), ("queries", "documents"), ("data_1", "data_2")])
async def test_one_text_is_scored_against_each_other(client: httpx.AsyncClient, names: tuple[str, str]) -> None:
    found = (await score(client, **{names[0]: "the sun is a star", names[1]: DOCUMENTS})).json()
    figures = [one["score"] for one in found["data"]]
    assert [one["index"] for one in found["data"]] == [0, 1, 2]
    assert figures[1] == pytest.approx(1, abs=1e-5)
    assert figures[0] < figures[2] < figures[1]
    assert found["usage"] == {"prompt_tokens": 20, "total_tokens": 20}


async def test_two_lists_are_scored_in_pairs(client: httpx.AsyncClient) -> None:
    found = (await score(client, text_1=DOCUMENTS, text_2=DOCUMENTS)).json()
    assert [one["score"] for one in found["data"]] == pytest.approx([1, 1, 1], abs=1e-5)


async def test_documents_come_best_first(client: httpx.AsyncClient) -> None:
    found = (await rerank(client)).json()
    assert [one["index"] for one in found["results"]] == [1, 2, 0]
    figures = [one["relevance_score"] for one in found["results"]]
    assert figures == sorted(figures, reverse=True)
    assert "document" not in found["results"][0]


async def test_only_the_best_are_wanted_with_their_texts(client: httpx.AsyncClient) -> None:
    documents = [{"text": text} for text in DOCUMENTS]
    found = (await rerank(client, documents=documents, top_n=1, return_documents=True)).json()
    assert found["results"] == [
        {"index": 1, "relevance_score": pytest.approx(1, abs=1e-5), "document": {"text": DOCUMENTS[1]}}
    ]
    assert len((await rerank(client, top_n=0)).json()["results"]) == 3
    assert len((await rerank(client, top_n=9)).json()["results"]) == 3


async def test_both_answer_at_the_root_too(client: httpx.AsyncClient) -> None:
    assert (await score(client, "/score", text_1="a", text_2="a")).status_code == 200
    assert (await rerank(client, "/rerank")).status_code == 200
    assert (await rerank(client, "/rerank", documents=[])).json()["error"]["type"] == "invalid_request_error"


@pytest.mark.parametrize(
    ("wrong", "param"),
    [
        ({"text_1": "a"}, None),
        ({"text_1": "a", "documents": "a"}, None),
        ({"text_1": "a", "text_2": "a", "queries": "a", "documents": "a"}, None),
        ({"text_1": ["a", "b"], "text_2": ["a", "b", "c"]}, "text_1"),
        ({"text_1": ["a", "b"], "text_2": ["a", ""]}, "text_2[1]"),
        ({"text_1": "", "text_2": ["a"]}, "text_1"),
        ({"text_1": "a", "text_2": []}, "text_2"),
        ({"text_1": "a", "text_2": "b", "truncate": True}, "truncate"),
    ],
)
async def test_texts_that_are_no_pairs_are_refused(
    client: httpx.AsyncClient, wrong: dict[str, Any], param: str | None
) -> None:
    response = await score(client, **wrong)
    assert response.status_code == 400
    assert response.json()["error"]["param"] == param


@pytest.mark.parametrize(
    ("wrong", "param"),
    [
        ({"query": ""}, "query"),
        ({"query": None}, "query"),
        ({"documents": []}, "documents"),
        ({"documents": ["a", " "]}, "documents[1]"),
        ({"documents": ["a", {"title": "b"}]}, "documents[1].text"),
        ({"documents": ["a"] * 3000}, "documents"),
        ({"top_n": -1}, "top_n"),
        ({"max_tokens_per_doc": 5}, "max_tokens_per_doc"),
    ],
)
async def test_a_bad_rerank_is_refused_by_name(
    client: httpx.AsyncClient, wrong: dict[str, Any], param: str
) -> None:
    response = await rerank(client, **wrong)
    assert response.status_code == 400
    assert response.json()["error"]["param"] in (param, param.removesuffix(".text") + ".title")


@pytest.mark.parametrize(("asked", "status"), [("echo", 400), ("nobody", 404)])
async def test_a_model_that_does_not_embed_ranks_nothing(
    client: httpx.AsyncClient, asked: str, status: int
) -> None:
    for response in (await rerank(client, model=asked), await score(client, model=asked, text_1="a", text_2="b")):
        assert response.status_code == status
        assert response.json()["error"]["param"] == "model"


async def test_an_embedding_s_format_may_be_null(client: httpx.AsyncClient) -> None:
    body = {"model": "hash", "input": "a", "encoding_format": None, "user": "ada"}
    found = (await client.post("/v1/embeddings", json=body)).json()
    assert len(found["data"][0]["embedding"]) == 16
