"""A body over the limit is refused, and its client reads why: the connection is not reset while it sends."""

import asyncio
import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest
import uvicorn
from starlette.types import Message, Receive, Scope, Send

from deployments.gateway import middleware
from deployments.gateway.middleware import BodyLimit

LIMIT = 1000


async def reads_all(_: Scope, receive: Receive, send: Send) -> None:
    while (await receive()).get("more_body"):
        pass
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"read"})


class Client:
    """Sends the messages, one a call, and then nothing. sent: each answer, and how many were unread by then."""

    def __init__(self, *messages: Message) -> None:
        self._messages = list(messages)
        self.sent: list[tuple[Message, int]] = []

    async def receive(self) -> Message:
        if self._messages:
            return self._messages.pop(0)
        await asyncio.Event().wait()
        raise AssertionError

    async def send(self, message: Message) -> None:
        self.sent.append((message, len(self._messages)))

    async def ask(self, **headers: str) -> None:
        raw = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
        scope: dict[str, Any] = {"type": "http", "method": "POST", "path": "/", "headers": raw}
        await BodyLimit(reads_all, max_bytes=LIMIT)(scope, self.receive, self.send)

    def check(self, *, unread: int) -> None:
        """It was answered 413, whole, at once; and the answer ended with so many messages unread."""
        start, body, *rest = (message for message, _ in self.sent)
        assert start["status"] == 413
        assert (b"connection", b"close") in start["headers"]
        assert b"payload_too_large" in body["body"]
        assert [message["body"] for message in rest] == [b""] * len(rest)
        assert not self.sent[-1][0].get("more_body")
        assert self.sent[-1][1] == unread


def part(size: int = 600, *, more: bool = True) -> Message:
    return {"type": "http.request", "body": b"x" * size, "more_body": more}


GONE: Message = {"type": "http.disconnect"}


@pytest.fixture(autouse=True)
def _hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(middleware, "IDLE_S", 0.05)


@pytest.mark.parametrize("headers", [{"content_length": "1800"}, {}], ids=["declared", "undeclared"])
async def test_the_rest_of_the_body_is_waited_for_before_the_answer_ends(headers: dict[str, str]) -> None:
    client = Client(part(), part(), part(), part(0, more=False))
    await client.ask(**headers)
    assert client.sent[1][1] > 0, "it was told while it still sent"
    client.check(unread=0)


async def test_a_client_that_has_sent_all_or_has_gone_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(middleware, "IDLE_S", 60.0)
    done, gone = Client(part(), part(more=False)), Client(part(), GONE, part())
    async with asyncio.timeout(30):
        await done.ask()
        await gone.ask(content_length="9999")
    done.check(unread=0)
    gone.check(unread=1)


async def test_one_that_asks_first_sends_nothing_and_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(middleware, "IDLE_S", 60.0)
    client = Client()
    async with asyncio.timeout(30):
        await client.ask(content_length="9999", expect="100-continue")
    client.check(unread=0)


async def test_one_that_stalls_or_never_ends_is_waited_for_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    stalls = Client(part())
    await stalls.ask(content_length="9999")
    stalls.check(unread=0)

    class Endless(Client):
        async def receive(self) -> Message:
            await asyncio.sleep(0.001)
            return part()

    monkeypatch.setattr(middleware, "LINGER_S", 0.1)
    endless = Endless()
    await endless.ask(content_length="9999")
    endless.check(unread=0)


async def test_bodies_within_the_limit_pass() -> None:
    client = Client(part(400), part(600, more=False))
    await client.ask(content_length="1000")
    assert [message.get("body") for message, _ in client.sent] == [None, b"read"]


@pytest.fixture
def port() -> Iterator[int]:
    """A real server with the limit."""
    listening = socket.socket()
    listening.bind(("127.0.0.1", 0))
    listening.listen()
    config = uvicorn.Config(BodyLimit(reads_all, max_bytes=LIMIT), log_level="error", lifespan="off")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
    thread.start()
    yield listening.getsockname()[1]
    server.should_exit = True
    thread.join()


def test_who_reads_after_sending_all_reads_the_answer(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(middleware, "IDLE_S", 30.0)
    size = 16 * 1024 * 1024  # more than what lies in the sockets between
    for _ in range(5):
        with socket.create_connection(("127.0.0.1", port), timeout=30) as client:
            client.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % size)
            client.sendall(b"x" * size)
            answer = b"".join(iter(lambda: client.recv(65536), b""))
        assert answer.startswith(b"HTTP/1.1 413 ")
        assert b"payload_too_large" in answer
