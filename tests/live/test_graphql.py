"""GraphQL on a real cluster: over HTTP and over a WebSocket, both through HAProxy."""

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from websockets.exceptions import ConnectionClosedError
from websockets.sync.client import ClientConnection, connect

from tests.live.conftest import RunningCluster

MODEL = "spark-chat"
WAIT_S = 60
STREAM = """subscription ($input: MessageInput!) { streamMessage(input: $input) {
  number kind text session { id } answer { message { content } usage { completionTokens } } } }"""


@pytest.fixture(scope="module")
def client(cluster: RunningCluster) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=cluster.url, timeout=WAIT_S) as client:
        yield client


def ask(client: httpx.Client, query: str, **variables: Any) -> dict[str, Any]:
    answer = client.post("/graphql", json={"query": query, "variables": variables})
    assert answer.status_code == 200, answer.text
    assert "errors" not in answer.json(), answer.text
    return dict(answer.json()["data"])


def conversation(client: httpx.Client) -> str:
    made = ask(client, "mutation ($m: String) { createConversation(input: {model: $m}) { id } }", m=MODEL)
    return str(made["createConversation"]["id"])


@pytest.fixture
def talk(cluster: RunningCluster) -> Iterator[ClientConnection]:
    url = cluster.url.replace("http://", "ws://") + "/graphql"
    with connect(url, subprotocols=["graphql-transport-ws"], open_timeout=WAIT_S) as talk:  # type: ignore[list-item]
        talk.send(json.dumps({"type": "connection_init"}))
        assert json.loads(talk.recv(WAIT_S)) == {"type": "connection_ack"}
        yield talk


def subscribe(talk: ClientConnection, query: str, **variables: Any) -> Iterator[dict[str, Any]]:
    payload = {"query": query, "variables": variables}
    talk.send(json.dumps({"type": "subscribe", "id": "1", "payload": payload}))
    while (message := json.loads(talk.recv(WAIT_S)))["type"] == "next":
        yield message["payload"]["data"]
    assert message == {"id": "1", "type": "complete"}


def test_models_are_loaded_and_said_to_be(client: httpx.Client) -> None:
    listed = ask(client, "{ availableModels { id state isLoaded engine metadata { task memoryUsage } } }")
    found = {one["id"]: one for one in listed["availableModels"]}
    assert (found[MODEL]["state"], found[MODEL]["isLoaded"], found[MODEL]["engine"]) == ("ready", True, "vllm")
    assert {one["metadata"]["task"] for one in found.values()} >= {"chat", "embedding"}


def test_a_message_is_answered_whole(client: httpx.Client) -> None:
    given = {
        "conversationId": conversation(client),
        "content": "Tell me a story.",
        "maxTokens": 12,
        "temperature": 0,
    }
    send = """mutation ($input: MessageInput!) {
      sendMessage(input: $input) { finishReason usage { completionTokens } } }"""
    said = ask(client, send, input=given)["sendMessage"]
    assert said == {"finishReason": "length", "usage": {"completionTokens": 12}}


def test_a_message_is_answered_as_it_comes_and_can_be_read_again(
    client: httpx.Client, talk: ClientConnection
) -> None:
    given = {
        "conversationId": conversation(client),
        "content": "Tell me a story.",
        "maxTokens": 40,
        "temperature": 0,
    }
    events = [event["streamMessage"] for event in subscribe(talk, STREAM, input=given)]
    assert [event["number"] for event in events] == list(range(1, len(events) + 1))
    assert len(events) > 5
    said = "".join(event["text"] or "" for event in events)
    assert events[-1]["answer"]["message"]["content"] == said
    follow = "subscription ($id: ID!) { streamSession(id: $id) { text } }"
    again = [
        event["streamSession"]["text"] or "" for event in subscribe(talk, follow, id=events[0]["session"]["id"])
    ]
    assert "".join(again) == said


def test_a_client_that_goes_away_leaves_the_gateway_well(client: httpx.Client, cluster: RunningCluster) -> None:
    url = cluster.url.replace("http://", "ws://") + "/graphql"
    given = {"conversationId": conversation(client), "content": "Tell me a long story.", "ignoreEos": True}
    with connect(url, subprotocols=["graphql-transport-ws"]) as talk:  # type: ignore[list-item]
        talk.send(json.dumps({"type": "connection_init"}))
        talk.recv(WAIT_S)
        session = next(subscribe(talk, STREAM, input=given))["streamMessage"]["session"]["id"]
    stopped = client.post(f"/api/v1/stream-sessions/{session}/stop").json()
    assert stopped["status"] == "terminated"
    assert client.get("/health").json()["status"] == "healthy"


def test_junk_closes_the_socket_and_no_more(client: httpx.Client, talk: ClientConnection) -> None:
    talk.send("{")
    with pytest.raises(ConnectionClosedError) as closed:
        talk.recv(WAIT_S)
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 4400
    assert ask(client, "{ __typename }") == {"__typename": "Query"}
