"""Conversations on a real cluster: resumed, stopped, and readable after their gateway was killed."""

import json
import time
from collections.abc import Iterator
from typing import Any

import httpx
import psutil
import pytest

from tests.live.conftest import RunningCluster
from tests.live.starting import called

MODEL = "spark-chat"
LONG = {"content": "Tell me a long story.", "temperature": 0, "ignore_eos": True}
API = "/api/v1"
LOST_S = 150  # for a new gateway, and for the old one's silence to be noticed

Event = tuple[int, str, dict[str, Any]]


@pytest.fixture(scope="module")
def client(cluster: RunningCluster) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=cluster.url, timeout=60) as client:
        yield client


def conversation(client: httpx.Client) -> str:
    made = client.post(f"{API}/conversations", json={"model": MODEL})
    assert made.status_code == 201, made.text
    return str(made.json()["id"])


def events(response: httpx.Response) -> Iterator[Event]:
    fields: dict[str, str] = {}
    for line in response.iter_lines():
        if line and not line.startswith(":"):
            name, _, value = line.partition(": ")
            fields[name] = value
        elif fields:
            yield int(fields["id"]), fields["event"], json.loads(fields["data"])
            fields = {}


def text_of(read: list[Event]) -> str:
    return "".join(data["text"] for _, kind, data in read if kind == "delta")


def begin(client: httpx.Client, path: str, deltas: int) -> list[Event]:
    """Ask, read so many deltas, and hang up."""
    read: list[Event] = []
    with client.stream("POST", path, json=LONG) as response:
        assert response.status_code == 200, response.read()
        for event in events(response):
            read.append(event)
            assert event[1] in {"session", "delta"}, "it ended before it could be interrupted"
            if len(read) > deltas:
                break
    return read


def test_an_answer_goes_on_without_its_client_and_is_resumed(client: httpx.Client) -> None:
    path = f"{API}/conversations/{conversation(client)}/messages"
    before = begin(client, path, deltas=3)
    session = before[0][2]["id"]
    headers = {"last-event-id": str(before[-1][0])}
    with client.stream("GET", f"{API}/stream-sessions/{session}/events", headers=headers) as response:
        after = list(events(response))
    numbers = [number for number, _, _ in before + after]
    assert numbers == list(range(1, len(numbers) + 1))
    assert after[-1][1] == "done"
    said = client.get(path).json()["messages"][1]
    assert text_of(before + after) == said["content"]
    assert said["completionTokens"] == after[-1][2]["session"]["tokenCount"] > 20


def test_a_running_answer_is_stopped_from_another_connection(client: httpx.Client) -> None:
    path = f"{API}/conversations/{conversation(client)}/messages"
    session = begin(client, path, deltas=2)[0][2]["id"]
    began = time.monotonic()
    stopped = client.post(f"{API}/stream-sessions/{session}/stop").json()
    assert (stopped["status"], stopped["terminationReason"]) == ("terminated", "stopped_by_client")
    assert time.monotonic() - began < 10
    assert client.get(path).json()["messages"][1]["content"] == stopped["partialResponse"]


def test_a_killed_gateway_leaves_the_partial_answer_with_its_reason(
    cluster: RunningCluster, client: httpx.Client
) -> None:
    path = f"{API}/conversations/{conversation(client)}/messages"
    (gateway,) = gateways(cluster)
    read: list[Event] = []
    with httpx.Client(base_url=cluster.url, timeout=60) as asking:
        read = begun_and_killed(asking, path, gateway)
    session, shown = read[0][2]["id"], text_of(read)
    found = when_ended(cluster, session)
    assert (found["status"], found["terminationReason"]) == ("error", "gateway_lost")
    kept = found["partialResponse"]
    assert kept, "what was said before the kill is kept"
    assert shown.startswith(kept) or kept.startswith(shown)
    with httpx.Client(base_url=cluster.url, timeout=60) as client:
        answer = client.get(path).json()["messages"][1]
        assert (answer["status"], answer["content"]) == ("error", kept)
        with client.stream("GET", f"{API}/stream-sessions/{session}/events") as response:
            again = list(events(response))
        assert (text_of(again), again[-1][1]) == (kept, "error")
        following = client.post(path, json={"content": "Hello?", "max_tokens": 4, "stream": False})
        assert following.status_code == 200, following.text


def gateways(cluster: RunningCluster) -> list[psutil.Process]:
    return called(cluster.state.id, "ServeReplica:heliostat:Gateway")


def begun_and_killed(client: httpx.Client, path: str, gateway: psutil.Process) -> list[Event]:
    """Ask, and kill the gateway once some of the answer must be in the database."""
    read: list[Event] = []
    began = 0.0
    try:
        with client.stream("POST", path, json=LONG) as response:
            for event in events(response):
                read.append(event)
                assert event[1] in {"session", "delta"}, "it ended before the gateway could be killed"
                began = began or (time.monotonic() if event[1] == "delta" else 0.0)
                if began and time.monotonic() - began > 0.5 and gateway.is_running():
                    gateway.kill()
                    gateway.wait(10)
    except httpx.TransportError:
        pass  # how a stream ends whose server was killed, where the proxy does not end it well
    return read


def when_ended(cluster: RunningCluster, session: str) -> dict[str, Any]:
    """The session once a new gateway says that it is over."""
    deadline = time.monotonic() + LOST_S
    found: Any = None
    while time.monotonic() < deadline:
        try:
            answer = httpx.get(f"{cluster.url}{API}/stream-sessions/{session}", timeout=10, trust_env=False)
            found = answer.text
            if answer.status_code == 200 and answer.json()["status"] != "active":
                return dict(answer.json())
        except httpx.TransportError as error:
            found = error
        time.sleep(0.5)
    raise AssertionError(f"not over after {LOST_S} s: {found}")
