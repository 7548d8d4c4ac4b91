"""A cross-encoder behind the whole graph: its scores are the library's, in every place that ranks."""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import numpy as np
import pytest

from cluster.config import resolve
from cluster.engines.cross_encoder import CrossEncoderEngine
from cluster.errors import StartFailed
from cluster.settings.engines import CrossEncoderSettings
from tests.graph.graphs import app_of, client_of
from tests.tiny_cross_encoder import LONGEST, WORDS, write

DOCUMENTS = ["mice eat cheese", "the sun is a star", "a ship at sea", "red cheese at night"]
QUERY = "is the moon a star"
CLOSE = 1e-5


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> str:
    return write(tmp_path_factory.mktemp("ranker"))


@pytest.fixture(scope="module")
def engine(folder: str) -> CrossEncoderEngine:
    engine = CrossEncoderEngine(CrossEncoderSettings(source=folder, dtype="float32"))
    engine.start()
    return engine


@pytest.fixture(scope="module")
def library(folder: str) -> Any:
    from sentence_transformers import CrossEncoder

    return CrossEncoder(folder, device="cpu", local_files_only=True)


@pytest.fixture(scope="module")
def app(folder: str, tmp_path_factory: pytest.TempPathFactory) -> Any:
    args = {
        "home": str(tmp_path_factory.mktemp("home")),
        "models": [
            {"id": "echo", "engine": {"kind": "scripted"}},
            {"id": "hash", "engine": {"kind": "hash"}},
            {"id": "ranker", "engine": {"kind": "cross_encoder", "source": folder, "dtype": "float32"}},
        ],
        "stores": {"vectors": {"kind": "memory"}},
    }
    return app_of(resolve(args, {}), "rerank")


@pytest.fixture
async def client(app: Any) -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(app) as client:
        yield client


def texts(*lengths: int) -> list[str]:
    return [" ".join(WORDS[(at * at + 3 * length) % len(WORDS)] for at in range(length)) for length in lengths]


@pytest.mark.parametrize("first", [1, 5, 13, 14, 15, 28, 29, 60])
def test_scores_are_the_librarys_for_pairs_of_every_length(
    engine: CrossEncoderEngine, library: Any, first: int
) -> None:
    [query], others = texts(first), texts(1, 2, 9, 13, 14, 15, 16, 20, 28, 29, 30, 80)
    reading = engine.read([query], others)
    found = engine.compute(reading.items)
    assert np.abs(found.values - library.predict([(query, other) for other in others])).max() < CLOSE
    assert reading.truncated == sum(tokens > LONGEST - 3 for tokens in found.tokens)
    assert found.tokens == tuple(first + len(other.split()) for other in others)


def test_small_batches_score_the_same(folder: str, engine: CrossEncoderEngine) -> None:
    small = CrossEncoderEngine(CrossEncoderSettings(source=folder, dtype="float32", batch_tokens=20))
    small.start()
    others = texts(1, 20, 3, 9, 4)
    found = [one.compute(one.read([QUERY], others).items).values for one in (engine, small)]
    assert np.abs(found[0] - found[1]).max() < CLOSE


def test_a_model_that_classifies_is_refused_at_its_start(tmp_path: Any) -> None:
    with pytest.raises(StartFailed, match="it has 3 labels"):
        CrossEncoderEngine(CrossEncoderSettings(source=write(tmp_path, labels=3))).start()


async def test_documents_come_in_the_librarys_order(client: httpx.AsyncClient, library: Any) -> None:
    body = {"model": "ranker", "query": QUERY, "documents": DOCUMENTS, "return_documents": True}
    expected = library.predict([(QUERY, document) for document in DOCUMENTS])
    for path in ("/v1/rerank", "/rerank"):
        found = (await client.post(path, json=body)).json()
        assert [one["index"] for one in found["results"]] == list(np.argsort(-expected))
        scores = [one["relevance_score"] for one in found["results"]]
        assert scores == pytest.approx(sorted(expected, reverse=True), abs=CLOSE)
        assert found["results"][0]["document"]["text"] == DOCUMENTS[int(np.argmax(expected))]
    assert found["usage"]["prompt_tokens"] == sum(5 + len(text.split()) for text in DOCUMENTS)


async def test_pairs_are_scored_in_their_order(client: httpx.AsyncClient, library: Any) -> None:
    body = {"model": "ranker", "text_1": DOCUMENTS, "text_2": DOCUMENTS[::-1]}
    found = (await client.post("/v1/score", json=body)).json()
    expected = library.predict(list(zip(DOCUMENTS, DOCUMENTS[::-1], strict=True)))
    assert [one["score"] for one in found["data"]] == pytest.approx(list(expected), abs=CLOSE)


async def test_what_is_cut_is_counted(client: httpx.AsyncClient) -> None:
    body = {"model": "ranker", "query": QUERY, "documents": ["cheese", " ".join(texts(99)), "sea " * 40]}
    response = await client.post("/v1/rerank", json=body)
    assert response.headers["x-heliostat-truncated-inputs"] == "2"


@pytest.mark.parametrize(
    ("wrong", "param"),
    [
        ({"query": ""}, "query"),
        ({"query": " "}, "query"),
        ({"documents": ["a", " "]}, "documents[1]"),
        ({"documents": []}, "documents"),
        ({"documents": ["cheese"] * 10_000}, "documents"),
        ({"model": "echo"}, "model"),
    ],
)
async def test_bad_input_is_refused_by_name(client: httpx.AsyncClient, wrong: dict[str, Any], param: str) -> None:
    response = await client.post("/v1/rerank", json={"model": "ranker", "query": "a", "documents": ["b"], **wrong})
    assert (response.status_code, response.json()["error"]["param"]) == (400, param)


async def test_a_search_is_put_into_the_cross_encoders_order(client: httpx.AsyncClient, library: Any) -> None:
    for place, text in enumerate(DOCUMENTS):
        await client.post("/api/v1/documents", files={"file": (f"{place}.txt", text.encode())})
    body = {"query": QUERY, "rerank": "ranker", "limit": 4, "mode": "dense"}
    passages = (await client.post("/api/v1/rag/search", json=body)).json()["passages"]
    expected = dict(zip(DOCUMENTS, library.predict([(QUERY, text) for text in DOCUMENTS]), strict=True))
    assert len(passages) == 4
    assert [one["text"] for one in passages] == sorted(DOCUMENTS, key=lambda text: -expected[text])
    assert [one["score"] for one in passages] == pytest.approx(sorted(expected.values(), reverse=True), abs=CLOSE)
    refused = await client.post("/api/v1/rag/search", json={**body, "rerank": "echo"})
    assert (refused.status_code, refused.json()["error"]["param"]) == (400, "rerank")


async def test_it_is_listed_for_what_it_can_do_and_does_nothing_else(client: httpx.AsyncClient) -> None:
    rows = {row["id"]: row for row in (await client.get("/v1/models")).json()["data"]}
    ranker = rows["ranker"]
    assert (ranker["task"], ranker["capabilities"], ranker["engine"]) == ("rerank", ["rerank"], "cross_encoder")
    assert ranker["max_model_len"] == LONGEST - 3
    assert (await client.get("/v1/models/ranker")).json() == ranker
    assert (await client.get("/health")).json()["services"]["ranker"] == "running"
    chat = {"model": "ranker", "messages": [{"role": "user", "content": "hi"}]}
    for path, body in (("/v1/chat/completions", chat), ("/v1/embeddings", {"model": "ranker", "input": "hi"})):
        refused = await client.post(path, json=body)
        assert refused.status_code == 400
        assert refused.json()["error"]["message"] == "ranker is a reranking model. POST /v1/rerank."


async def test_the_embedder_still_ranks_by_cosine(client: httpx.AsyncClient) -> None:
    body = {"model": "hash", "query": "the sun is a star", "documents": DOCUMENTS}
    found = (await client.post("/v1/rerank", json=body)).json()["results"]
    assert found[0] == {"index": 1, "relevance_score": pytest.approx(1, abs=1e-5)}


async def test_auto_means_the_cross_encoder_where_there_is_one(client: httpx.AsyncClient) -> None:
    body = {"model": "auto", "query": QUERY, "documents": DOCUMENTS}
    assert (await client.post("/v1/rerank", json=body)).json()["model"] == "ranker"
