"""GraphQL over HTTP: methods, types, statuses, and junk."""

import asyncio
from typing import Any

import pytest

from tests.unit.gateway.graphql.house import House, endless, house, idle, shared
from tests.unit.waiting import until

OWN = "application/graphql-response+json"
JSON = {"content-type": "application/json"}


@pytest.fixture
async def home() -> House:
    return await shared(__name__)


async def test_a_get_queries_with_variables_and_is_not_kept_by_caches(home: House) -> None:
    asked = {
        "query": "query Q($i: ID!) { model(id: $i) { id } }",
        "variables": '{"i": "echo"}',
        "operationName": "Q",
    }
    answer = await home.client.get("/graphql", params=asked)
    assert answer.json() == {"data": {"model": {"id": "echo"}}}
    assert (answer.headers["content-type"], answer.headers["cache-control"]) == (OWN, "no-store")


async def test_a_get_that_would_change_something_is_refused_before_it_does(home: House) -> None:
    answer = await home.client.get("/graphql", params={"query": "mutation { createConversation { id } }"})
    assert (answer.status_code, answer.json()["errors"][0]["extensions"]["code"]) == (405, "method_not_allowed")
    assert (await home.ask("{ conversations { total } }"))["conversations"]["total"] == 0


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""])
async def test_a_post_that_a_form_could_send_is_refused(home: House, kind: str) -> None:
    headers = {"content-type": kind} if kind else {}
    answer = await home.client.post("/graphql", content=b'{"query": "{ __typename }"}', headers=headers)
    assert (answer.status_code, answer.json()["errors"][0]["extensions"]["code"]) == (415, "unsupported_media_type")


@pytest.mark.parametrize(
    ("accept", "kind", "status"),
    [
        ("*/*", OWN, 400),
        (OWN, OWN, 400),
        (f"application/json, {OWN}", OWN, 400),
        ("application/json", "application/json", 200),
        ("application/json; charset=utf-8", "application/json", 200),
    ],
)
async def test_a_refused_document_has_the_status_that_its_client_can_tell(
    home: House, accept: str, kind: str, status: int
) -> None:
    answer = await home.client.post("/graphql", json={"query": "{ nope }"}, headers={"accept": accept})
    assert (answer.status_code, answer.headers["content-type"]) == (status, kind)
    [error] = answer.json()["errors"]
    assert error["extensions"]["code"] == "graphql_validation_failed"
    assert error["locations"] == [{"line": 1, "column": 3}]
    assert "data" not in answer.json()


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", "invalid_request"),
        (b"{", "invalid_request"),
        (b"null", "invalid_request"),
        (b'"{ __typename }"', "invalid_request"),
        (b"\xff\xfe{}", "invalid_request"),
        (b"[" * 100_000, "invalid_request"),
        (b'[{"query": "{ __typename }"}]', "invalid_request"),
        (b"{}", "invalid_request"),
        (b'{"query": 7}', "invalid_request"),
        (b'{"query": ""}', "invalid_request"),
        (b'{"query": "{ __typename }", "variables": []}', "invalid_request"),
        (b'{"query": "{ __typename }", "variables": {"x": NaN}}', "invalid_request"),
        (b'{"query": "{ __typename }", "operationName": 1}', "invalid_request"),
        (b'{"query": "{ __typename }", "what": 1}', "invalid_request"),
        (b'{"query": "{ __typename }", "extensions": {"persistedQuery": {}}}', "invalid_request"),
        (b'{"query": "{ __typename }", "variables": {"x": "\\ud800"}}', "invalid_request"),
        (b'{"query": "\\ud800"}', "invalid_request"),
        (b'{"query": "\\u0000"}', "graphql_parse_failed"),
        (b'{"query": "# only a comment"}', "graphql_parse_failed"),
        (b'{"query": "{ model(id: \\"\\\\uD800\\") { id } }"}', "graphql_parse_failed"),
        (b'{"query": "{"}', "graphql_parse_failed"),
        (b'{"query": "{ __typename } }"}', "graphql_parse_failed"),
        (b'{"query": "type A { b: Int }"}', "graphql_validation_failed"),
        (b'{"query": "fragment A on Query { __typename }"}', "graphql_validation_failed"),
        (b'{"query": "{ __typename } { __typename }"}', "graphql_validation_failed"),
        (b'{"query": "query A { __typename } query B { __typename }"}', "graphql_validation_failed"),
        (b'{"query": "query A { __typename }", "operationName": "B"}', "graphql_validation_failed"),
        (
            b'{"query": "{ ...A } fragment A on Query { ...B } fragment B on Query { ...A }"}',
            "graphql_validation_failed",
        ),
        (b'{"query": "query ($n: Int!) { conversations(limit: $n) { total } }"}', "graphql_validation_failed"),
        (
            b'{"query": "query ($n: Int!) { conversations(limit: $n) { total } }", "variables": {"n": "7"}}',
            "graphql_validation_failed",
        ),
        (
            b'{"query": "query ($n: Int!) { conversations(limit: $n) { total } }", "variables": {"n": 1e400}}',
            "graphql_validation_failed",
        ),
        (b'{"query": "subscription { modelStatus { what } }"}', "invalid_request"),
        (b'{"query": "{ model(id: null) { id } }"}', "graphql_validation_failed"),
        (b'{"query": "{ model(id: [1]) { id } }"}', "graphql_validation_failed"),
    ],
)
async def test_junk_is_a_clear_error(home: House, body: bytes, code: str) -> None:
    answer = await home.client.post("/graphql", content=body, headers=JSON)
    assert answer.status_code == 400, answer.text
    assert answer.json()["errors"][0]["extensions"]["code"] == code, answer.text


@pytest.mark.parametrize("number", ["2147483648", "-2147483649", "1" + "0" * 40, "9" * 5000])
async def test_a_number_of_any_size_is_no_failure_of_the_server(home: House, number: str) -> None:
    query = "query ($n: Int!) { conversations(limit: $n) { total } }"
    body = f'{{"query": "{query}", "variables": {{"n": {number}}}}}'
    answer = await home.client.post("/graphql", content=body.encode(), headers=JSON)
    assert (answer.status_code, "errors" in answer.json()) == (400, True), answer.text


async def test_a_text_with_a_nul_is_found_nowhere(home: House) -> None:
    for field in ("conversation", "batchStatus", "model", "experiment"):
        error = await home.refused(f"query ($i: ID!) {{ {field}(id: $i) {{ id }} }}", {"i": "conv_\0"})
        assert error["code"].endswith("_not_found"), (field, error)


async def test_the_body_is_held_to_the_limit_of_all_bodies() -> None:
    small = await house(limits={"max_body_bytes": 2048})
    answer = await small.client.post("/graphql", content=b'{"query": "' + b" " * 4000 + b'"}', headers=JSON)
    assert (answer.status_code, answer.json()["errors"][0]["extensions"]["code"]) == (413, "payload_too_large")


async def test_other_methods_are_refused_in_the_same_shape(home: House) -> None:
    answer = await home.client.put("/graphql")
    assert (answer.status_code, answer.json()["errors"][0]["extensions"]["code"]) == (405, "method_not_allowed")


async def test_apollos_own_extension_is_let_in(home: House) -> None:
    body: dict[str, Any] = {"query": "{ __typename }", "extensions": {"clientLibrary": {"name": "@apollo/client"}}}
    answer = await home.client.post("/graphql", json=body)
    assert answer.json() == {"data": {"__typename": "Query"}}


async def test_an_answer_stops_with_its_client() -> None:
    lone = await endless(conversations={"flush_ms": 5, "resume_grace_s": 0.01})
    conversation = await lone.conversation()
    send = "mutation ($input: MessageInput!) { sendMessage(input: $input) { finishReason } }"
    asked = asyncio.create_task(lone.post(send, {"input": {"conversationId": conversation, "content": "x"}}))
    await until(lambda: lone.model.engine.running == 1)
    asked.cancel()
    await idle(lone)
