"""What may be asked over HTTP: the same as on the REST routes, and nothing of others'."""

import pytest

from tests.unit.gateway.conftest import started
from tests.unit.gateway.graphql.house import House, settings, shared

SEND = """mutation ($input: MessageInput!) { sendMessage(input: $input) {
  message { role content status finishReason } session { status tokenCount } usage { totalTokens } } }"""
SPEC = {"name": "s", "prompt": "hello", "model": "echo", "parameter_ranges": {"temperature": [0, 1]}}


@pytest.fixture
async def home(tmp_path_factory: pytest.TempPathFactory) -> House:
    return await shared(__name__, tmp_path_factory.getbasetemp())


async def test_models_are_listed_with_what_is_known_of_them(home: House) -> None:
    found = (
        await home.ask(
            "{ availableModels { id name provider engine state isLoaded contextLength metadata { task } } }"
        )
    )["availableModels"]
    assert found[0] == {
        "id": "echo", "name": "echo", "provider": "local", "engine": "scripted", "state": "ready", "isLoaded": True,
        "contextLength": 64, "metadata": {"task": "chat"},
    }  # fmt: skip
    assert [one["metadata"]["task"] for one in found] == ["chat", "embedding"]


async def test_one_model_is_found_and_an_unknown_one_is_null_with_an_error(home: House) -> None:
    answer = (await home.post('{ a: model(id: "hash") { id } b: model(id: "nope") { id } }')).json()
    assert answer["data"] == {"a": {"id": "hash"}, "b": None}
    [error] = answer["errors"]
    assert (error["path"], error["extensions"]["code"]) == (["b"], "model_not_found")
    assert error["extensions"]["legacyCode"] == "HF_MODEL_NOT_FOUND"
    assert error["extensions"]["requestId"]
    assert "echo" in error["extensions"]["hint"]


async def test_a_conversation_is_begun_answered_and_read(home: House) -> None:
    made = (
        await home.ask(
            'mutation { createConversation(input: {title: "t", systemPrompt: "s", metadata: {k: "v"}})'
            " { id title systemPrompt metadata model } }"
        )
    )["createConversation"]
    assert (made["title"], made["systemPrompt"], made["metadata"], made["model"]) == ("t", "s", {"k": "v"}, None)
    said = (await home.ask(SEND, {"input": {"conversationId": made["id"], "content": "one two"}}))["sendMessage"]
    assert said["message"] == {
        "role": "assistant", "content": "one two", "status": "completed", "finishReason": "stop"
    }  # fmt: skip
    assert said["session"]["status"] == "completed"
    read = await home.ask(
        """query ($id: ID!) {
          conversation(id: $id) { title messages(limit: 1) { total items { content } } }
          messages(conversationId: $id, offset: 1) { items { role content parts provider } }
          conversations { total items { id messages { total } } }
        }""",
        {"id": made["id"]},
    )
    assert read["conversation"]["messages"] == {"total": 2, "items": [{"content": "one two"}]}
    assert read["messages"]["items"] == [
        {"role": "assistant", "content": "one two", "parts": None, "provider": "scripted"}
    ]
    assert read["conversations"] == {"total": 1, "items": [{"id": made["id"], "messages": {"total": 2}}]}


async def test_generation_parameters_are_honoured_and_wrong_ones_named_as_the_client_wrote_them(
    home: House,
) -> None:
    conversation = await home.conversation()
    send = "mutation ($input: MessageInput!) { sendMessage(input: $input) { finishReason message { content } } }"
    given = {"conversationId": conversation, "content": "one two three", "maxTokens": 1}
    cut = (await home.ask(send, {"input": given}))["sendMessage"]
    assert (cut["finishReason"], cut["message"]["content"].split()) == ("length", ["one"])
    error = await home.refused(send, {"input": {**given, "topP": 7.5}})
    assert (error["code"], error["param"]) == ("invalid_request", "topP")
    error = await home.refused(send, {"input": {**given, "images": ["data:image/png;base64,AAAA"]}})
    assert (error["code"], error["param"]) == ("unsupported_parameter", "content")


async def test_a_model_tells_what_came_of_its_requests() -> None:
    home = House(await started(), settings(), counted=True)
    asked = '{ model(id: "echo") { record { requestCount errorCount averageResponseTime completionTokens } } }'
    assert (await home.ask(asked))["model"]["record"]["requestCount"] == 0
    await home.ask(SEND, {"input": {"conversationId": await home.conversation(), "content": "one two"}})
    record = (await home.ask(asked))["model"]["record"]
    assert (record["requestCount"], record["errorCount"], record["completionTokens"]) == (1, 0, 2)
    assert record["averageResponseTime"] > 0
    assert home.desks.book is not None
    assert home.desks.book._task is not None
    home.desks.book._task.cancel()


async def test_where_nobody_counts_a_model_has_no_record(home: House) -> None:
    assert await home.ask('{ model(id: "echo") { record { requestCount } } }') == {"model": {"record": None}}


async def test_what_another_owner_has_does_not_exist(home: House) -> None:
    conversation = await home.conversation(x_owner="ann")
    query = """query ($id: ID!) { conversation(id: $id) { id } messages(conversationId: $id) { total }
      conversations { total } experiments { total } }"""
    answer = (await home.post(query, {"id": conversation}, x_owner="bob")).json()
    assert answer["data"]["conversation"] is answer["data"]["messages"] is None
    assert answer["data"]["conversations"]["total"] == 0
    assert {error["extensions"]["code"] for error in answer["errors"]} == {"conversation_not_found"}
    error = await home.refused(SEND, {"input": {"conversationId": conversation, "content": "x"}}, x_owner="bob")
    assert error["code"] == "conversation_not_found"


async def test_an_experiment_is_created_started_and_its_progress_read(home: House) -> None:
    start = "mutation ($input: BatchInput!) { startBatch(input: $input) { id kind status total done } }"
    started = (await home.ask(start, {"input": {"spec": SPEC}}))["startBatch"]
    assert {**started, "id": "1"} == {
        "id": "1",
        "kind": "experiment",
        "status": "running",
        "total": 2,
        "done": False,
    }
    assert [arguments[:2] for arguments in home.jobs.submitted.values()] == [["sweep", "run"]]
    read = await home.ask(
        """query ($id: ID!) { experiment(id: $id) { name status prompts parameterRanges seeds createdAt }
          experiments { total items { id prompts } } batchStatus(id: $id) { status progress } }""",
        {"id": started["id"]},
    )
    assert read["experiment"]["prompts"] == ["hello"]
    assert read["experiment"]["status"] == "running"
    assert read["experiments"]["items"] == [{"id": started["id"], "prompts": ["hello"]}]
    assert read["batchStatus"] == {"status": "running", "progress": 0}
    again = await home.refused(start, {"input": {"experiment": started["id"]}})
    assert again["code"] == "conflict"


async def test_a_batch_of_requests_is_started_and_its_progress_read(home: House) -> None:
    form = {"files": {"file": ("in.jsonl", b"{}\n")}, "data": {"purpose": "batch"}}
    uploaded = (await home.client.post("/v1/files", **form)).json()["id"]
    start = "mutation ($input: BatchInput!) { startBatch(input: $input) { id kind status total } }"
    requests = {"inputFileId": uploaded, "endpoint": "/v1/chat/completions", "metadata": {"k": "v"}}
    started = (await home.ask(start, {"input": {"requests": requests}}))["startBatch"]
    assert (started["kind"], started["status"]) == ("requests", "validating")
    read = await home.ask("query ($id: ID!) { batchStatus(id: $id) { status done } }", {"id": started["id"]})
    assert read["batchStatus"] == {"status": "validating", "done": False}
    for wrong in ({"endpoint": "/v1/nope"}, {"completionWindow": "1h"}):
        error = await home.refused(start, {"input": {"requests": {**requests, **wrong}}})
        assert (error["code"], error["param"]) == ("invalid_request", *wrong)
    error = await home.refused(
        "query ($id: ID!) { batchStatus(id: $id) { status } }", {"id": started["id"]}, x_owner="bob"
    )
    assert error["code"] == "batch_not_found"


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ({}, "graphql_validation_failed"),
        ({"experiment": "1", "spec": {}}, "graphql_validation_failed"),
        ({"experiment": None}, "graphql_validation_failed"),
        ({"experiment": ""}, "experiment_not_found"),
        ({"experiment": "x\0"}, "experiment_not_found"),
        ({"experiment": "99999999999999999999"}, "experiment_not_found"),
        ({"spec": "a text"}, "invalid_request"),
        ({"spec": 0}, "invalid_request"),
        ({"spec": {}}, "invalid_request"),
        ({"spec": {"models": 7}}, "invalid_request"),
        ({"requests": {"inputFileId": "x\0", "endpoint": "/v1/chat/completions"}}, "file_not_found"),
    ],
)
async def test_a_batch_that_cannot_be_started_says_why(home: House, given: object, code: str) -> None:
    start = "mutation ($input: BatchInput!) { startBatch(input: $input) { id } }"
    assert (await home.refused(start, {"input": given}))["code"] == code


@pytest.mark.parametrize("limit", [0, 201, -1])
async def test_a_page_of_no_sane_size_is_refused(home: House, limit: int) -> None:
    error = await home.refused("query ($n: Int!) { conversations(limit: $n) { total } }", {"n": limit})
    assert (error["code"], error["param"]) == ("invalid_request", "limit")


async def test_without_a_fleet_nothing_is_loaded(home: House) -> None:
    assert (await home.refused('mutation { loadModel(id: "echo") { id } }'))["code"] == "not_found"
