"""The served collection over HTTP, against a scripted server: what is asked, and what each answer becomes."""

import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from cluster.errors import BadRequest, ClusterError, HeliostatError, NotRunning
from pipelines.documents.evaluation.run import Mode
from pipelines.documents.evaluation.served import ServedCollection

PASSAGE = {"document_id": "d", "start": 3, "end": 9, "score": 0.5, "text": "barley", "page": None}


def served(answer: Callable[[httpx.Request], httpx.Response]) -> ServedCollection:
    transport = httpx.MockTransport(answer)
    return ServedCollection(
        "http://house:1/", "mills", embedder="mini", rerank="cross", transport=transport, pause_s=0
    )


def refused(status: int, code: str, message: str = "no") -> httpx.Response:
    return httpx.Response(status, json={"error": {"message": message, "code": code, "hint": "do so"}})


@pytest.mark.parametrize(
    ("mode", "sent"),
    [
        (Mode.DENSE, {"mode": "dense", "per_document": 1}),
        (Mode.BM25, {"mode": "bm25", "per_document": 1}),
        (Mode.HYBRID, {"mode": "hybrid", "per_document": 1}),
        (Mode.RERANK, {"mode": "hybrid", "rerank": "cross", "per_document": 1}),
    ],
)
def test_a_search_asks_the_public_route(mode: Mode, sent: dict[str, Any]) -> None:
    seen: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(200, json={"passages": [PASSAGE]})

    (hit,) = served(answer).search("mill?", mode=mode, limit=100, per_document=1)
    assert (hit.document_id, hit.start, hit.end, hit.score) == ("d", 3, 9, 0.5)
    assert seen[0].url == "http://house:1/api/v1/rag/search"
    assert json.loads(seen[0].content) == {"query": "mill?", "limit": 100, "collection": "mills", **sent}


def test_all_passages_of_a_document_are_asked_for_by_no_bound() -> None:
    bodies: list[dict[str, Any]] = []

    def answer(request: httpx.Request) -> httpx.Response:
        bodies.append(json.loads(request.content))
        return httpx.Response(200, json={"passages": []})

    assert served(answer).search("mill?", mode=Mode.DENSE, limit=10, per_document=None) == ()
    assert "per_document" not in bodies[0]


def test_a_text_s_vector_is_the_embedder_s() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        assert json.loads(request.content) == {"model": "mini", "input": "mill?", "encoding_format": "float"}
        return httpx.Response(200, json={"data": [{"embedding": [0.6, 0.8]}]})

    assert served(answer).embed("mill?").tolist() == pytest.approx([0.6, 0.8])


def test_a_server_that_is_busy_is_asked_again() -> None:
    answers = [
        httpx.Response(429, headers={"retry-after": "0"}),
        httpx.Response(503, headers={"retry-after": "Sat, 21 Nov 2026 20:00:00 GMT"}),
        httpx.Response(200, json={"passages": []}),
    ]
    assert served(lambda request: answers.pop(0)).search("q", mode=Mode.DENSE, limit=1, per_document=1) == ()
    assert answers == []


@pytest.mark.parametrize(
    ("response", "kind", "told"),
    [
        (refused(400, "invalid_request", "The query has no word in it"), BadRequest, "The query has no word in it"),
        (
            refused(404, "collection_not_found", "No collection"),
            ClusterError,
            "HELIOSTAT_API_KEY must be an admin's",
        ),
        (refused(409, "embedder_mismatch"), ClusterError, "the server answered 409: no"),
        (httpx.Response(404, text="<html>"), ClusterError, "is this Heliostat's URL?"),
        (httpx.Response(200, text="hello"), ClusterError, "answered 200"),
    ],
)
def test_a_refusal_is_told_in_its_own_words(
    response: httpx.Response, kind: type[HeliostatError], told: str
) -> None:
    with pytest.raises(kind) as raised:
        served(lambda request: response).search("q", mode=Mode.DENSE, limit=1, per_document=1)
    assert told in raised.value.line()


def test_a_server_that_is_not_there_is_said_so() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused")

    with pytest.raises(NotRunning, match="http://house:1/ does not answer"):
        served(answer).search("q", mode=Mode.DENSE, limit=1, per_document=1)
