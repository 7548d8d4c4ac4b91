"""A model's record on a terminal, as the running cluster tells it."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from io import StringIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console

from cluster.errors import NotRunning
from cluster.library.entry import ModelEntry
from cluster.stores.log_buckets import bucket_of
from cluster.stores.model_records import ModelRecord, Sums
from deployments import models_recorded
from deployments.gateway.model_records import shown
from deployments.gateway.model_records.shown import Facts
from deployments.models_recorded import lines, record_of
from deployments.models_shown import show_one

SUMS = Sums(
    requests=5,
    prompt_tokens=40,
    completion_tokens=9,
    response_s=1.0,
    used_at=86_400.0,
    outcomes={"answered": 4, "failed": 1},
    errors={"engine_dead": 1},
    response={bucket_of(0.25): 4},
)


def told(sums: Sums = SUMS, **facts: Any) -> dict[str, Any]:
    return shown.record(ModelRecord(model="echo", sums=sums), Facts(**facts), days=None)


class Endpoint(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        asked: list[tuple[str, str | None]] = self.server.asked  # type: ignore[attr-defined]
        asked.append((self.path, self.headers["authorization"]))
        known = self.path == "/api/v1/models/echo/record"
        self.send_response(200 if known else 404)
        self.end_headers()
        self.wfile.write(json.dumps(told() if known else {}).encode())

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Iterator[HTTPServer]:
    server = HTTPServer(("127.0.0.1", 0), Endpoint)
    server.asked = []  # type: ignore[attr-defined]
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    state = SimpleNamespace(url=f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setattr(models_recorded, "current", lambda folder: state)
    yield server
    server.shutdown()
    server.server_close()


def test_a_record_is_asked_for_by_each_name_with_the_key(
    cluster: HTTPServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HELIOSTAT_API_KEY", "sk-heliostat-x")
    assert record_of("org/echo", "echo") == told()
    key = "Bearer sk-heliostat-x"
    expected = [("/api/v1/models/org/echo/record", key), ("/api/v1/models/echo/record", key)]
    assert cluster.asked == expected  # type: ignore[attr-defined]


def test_a_cluster_that_knows_no_such_model_has_no_record_of_it(cluster: HTTPServer) -> None:
    assert record_of("other") is None


def test_where_no_cluster_runs_there_is_no_record(monkeypatch: pytest.MonkeyPatch) -> None:
    def nowhere(_: Path) -> None:
        raise NotRunning("no")

    monkeypatch.setattr(models_recorded, "current", nowhere)
    assert record_of("echo") is None


def test_the_lines_say_what_was_counted() -> None:
    assert lines(told(memory_gib=0.5, load_s=2.0)) == {
        "requests": "5: 4 answered, 1 failed",
        "errors": "1 engine_dead",
        "answered in": "250 ms on average, 258 ms at p95",
        "tokens": "40 prompt, 9 completion",
        "last used": "1970-01-02T00:00:00.000Z",
        "loaded in": "2.0 s",
        "memory": "0.50 GiB",
    }


def test_a_model_that_nobody_asked_has_one_line() -> None:
    assert lines(told(Sums())) == {"requests": "none"}


def test_a_model_is_shown_with_its_record() -> None:
    text = StringIO()
    entry = ModelEntry(id="echo", origin="folder", engine={"kind": "scripted"})
    show_one(entry, frozenset({"echo"}), told(), Console(file=text, width=120))
    assert "5: 4 answered, 1 failed" in text.getvalue()
