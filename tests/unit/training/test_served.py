"""How `heliostat models eval` asks a server."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from pipelines.training.served import Endpoint
from pipelines.training.tasks import Example, asked

EXAMPLE = Example(messages=(asked("Is it?"),), expected="yes")
ANSWER = b'{"revision": "r", "choices": [{"message": {"role": "assistant", "content": "yes"}}]}'


class Server(ThreadingHTTPServer):
    """Answers everything with a message, and remembers who asked."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.credentials: list[str | None] = []


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        self.do_POST()

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("content-length", 0)))
        self.server.credentials.append(self.headers.get("authorization"))
        self.send_response(200)
        self.send_header("content-length", str(len(ANSWER)))
        self.end_headers()
        self.wfile.write(ANSWER)

    def log_message(self, *_: object) -> None:
        return


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as found:
        thread = threading.Thread(target=found.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield found
        found.shutdown()
        thread.join()


@pytest.mark.parametrize(("key", "sent"), [("sk-1", "Bearer sk-1"), (None, None)])
def test_it_asks_with_the_environments_key(
    server: Server, monkeypatch: pytest.MonkeyPatch, key: str | None, sent: str | None
) -> None:
    monkeypatch.delenv("HELIOSTAT_API_KEY", raising=False)
    if key is not None:
        monkeypatch.setenv("HELIOSTAT_API_KEY", key)
    endpoint = Endpoint(f"http://127.0.0.1:{server.server_port}", "m")
    endpoint.listed()
    endpoint.answer([EXAMPLE])
    list(endpoint.stream({"messages": []}))
    assert server.credentials == [sent] * 4
