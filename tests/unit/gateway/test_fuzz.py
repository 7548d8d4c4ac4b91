"""Whatever JSON arrives, the server never fails over it, and an error always has its envelope and a known code."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cluster.stores.database import open_database
from deployments.clients import Backends
from deployments.gateway.app import build_app
from tests.unit.gateway.conftest import LocalEmbedder, client_of, settings_with, started
from tests.unit.retrieval.library_parts import library

CODES = {
    "invalid_request",
    "unsupported_parameter",
    "context_length_exceeded",
    "model_not_found",
    "collection_not_found",
    "response_not_found",
    "empty_plan",
    "plan_too_large",
}
GOOD: dict[str, dict[str, Any]] = {
    "/v1/chat/completions": {
        "model": "echo",
        "messages": [{"role": "system", "content": "be brief"}, {"role": "user", "content": [{"type": "text"}]}],
        "max_tokens": 3,
        "stop": ["a"],
        "metadata": {"a": "b"},
        "stream": True,
        "stream_options": {"include_usage": True},
    },
    "/v1/responses": {
        "model": "echo",
        "instructions": "be brief",
        "input": [
            {"role": "user", "content": [{"type": "input_text", "text": "hi"}]},
            {"type": "message", "role": "assistant", "content": "ho", "id": "msg_1"},
            {"type": "reasoning", "id": "rs_1", "summary": []},
        ],
        "text": {"format": {"type": "text"}},
        "max_output_tokens": 3,
        "metadata": {"a": "b"},
        "include": [],
        "tools": [{"type": "file_search", "vector_store_ids": ["documents"], "max_num_results": 3}],
        "stream": True,
        "store": False,
    },
    "/v1/embeddings": {"model": "hash", "input": ["a b", "c"], "encoding_format": "float", "dimensions": 16},
    "/api/experiments/batch": {
        "name": "a",
        "prompt": "hi",
        "model": "echo",
        "parameter_ranges": {"temperature": {"min": 0, "max": 1, "step": 0.5}, "max_tokens": [1, 2]},
        "response_count": 2,
    },
    "/api/v1/rag/search": {
        "query": "what is it",
        "limit": 3,
        "where": {"type": "and", "filters": [{"type": "eq", "key": "a", "value": 1}]},
        "tags": ["a"],
        "rerank": "hash",
        "per_document": 1,
    },
    "/api/v1/rag/query": {
        "query": "what is it",
        "limit": 3,
        "mode": "hybrid",
        "diversity": 0.5,
        "min_score": 0,
        "model": "echo",
        "max_tokens": 3,
        "stop": ["a"],
        "stream": True,
    },
}

BYTES = (b"", b"\0", b"\xff\xfe{}", b"{}", b"[]", b"null", b"1" * 5000, b'{"a":' * 5000, b'{"model":1e999}')
SLOW_IS_FINE = list(HealthCheck)  # what a check of the strategies' own speed says depends on the machine

numbers = st.integers() | st.sampled_from([2**63, -(2**70), 10**400]) | st.floats(allow_nan=False)
texts = st.text(max_size=8) | st.sampled_from(["\0", "\u202e", "echo", "../../x", " ", "9" * 50])
leaves = st.none() | st.booleans() | numbers | texts
values = st.recursive(
    leaves, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3), max_leaves=6
)


@st.composite
def mutations(draw: st.DrawFn, good: dict[str, Any]) -> Any:
    """A good body with one to three of its parts, however deep, replaced, removed or joined by another."""
    body = json.loads(json.dumps(good))
    for _ in range(draw(st.integers(1, 3))):
        node: Any = body
        while True:
            places = list(node) if isinstance(node, dict) else list(range(len(node)))
            place = draw(st.sampled_from(places)) if places else None
            if place is None or not isinstance(node[place], dict | list) or draw(st.booleans()):
                break
            node = node[place]
        what = draw(st.sampled_from(["replace", "remove", "add"]))
        if what == "add" or place is None:
            node.update({draw(texts): draw(values)}) if isinstance(node, dict) else node.append(draw(values))
        elif what == "remove":
            del node[place]
        else:
            node[place] = draw(values)
    return body


@pytest.fixture(scope="module")
def post(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Posts one body to the whole app; one event loop for all examples."""
    home: Path = tmp_path_factory.mktemp("fuzz")
    engine = open_database("sqlite://")
    with asyncio.Runner() as runner:

        async def client() -> httpx.AsyncClient:
            shelf = library(home, min_score=0.1)
            backends = Backends(models={"echo": await started()}, embedder=LocalEmbedder(), retriever=shelf)
            return client_of(build_app(backends, settings_with(home=str(home)), engine=engine))

        sender = runner.run(client())
        yield lambda path, body: runner.run(sender.post(path, content=body))
        runner.run(sender.aclose())
        engine.dispose()


@pytest.mark.parametrize("path", GOOD)
def test_no_body_makes_the_server_fail(post: Any, path: str) -> None:
    @settings(
        max_examples=60, deadline=None, database=None, suppress_health_check=list(HealthCheck), derandomize=True
    )
    @given(values | mutations(GOOD[path]))
    def attack(body: Any) -> None:
        response = post(path, json.dumps(body))
        if response.status_code < 400:
            return
        error = response.json()["error"]
        assert response.status_code in {400, 404}, (body, error)
        assert error["code"] in CODES, (body, error)
        assert error["message"]
        shape = {"message", "type", "param", "code"} if path.startswith("/v1") else {"code", "message", "hint"}
        assert set(error) - {"param"} == shape - {"param"}, error

    attack()


@pytest.mark.parametrize("path", GOOD)
def test_no_bytes_make_the_server_fail(post: Any, path: str) -> None:
    for body in (
        b"",
        b"\0",
        b"\xff\xfe{}",
        b"{}",
        b"[]",
        b"null",
        b"1" * 5000,
        b'{"a":' * 5000,
        b'{"model":1e999}',
    ):
        response = post(path, body)
        assert response.status_code == 400, (body, response.text)
        assert response.json()["error"]["code"] == "invalid_request"
