"""What a running cluster has loaded, by all names of its models."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from cluster.runtime.state import ClusterState, write_state
from deployments import loaded

CONFIG = """
applications:
  - name: heliostat
    import_path: deployments.app:build
    args:
      models:
        - {id: assistant, catalog: smollm2-135m-instruct}
        - {id: mine, engine: {kind: vllm, source: owner/mine}}
"""


class Endpoint(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        body = json.dumps({"data": [{"id": name} for name in self.server.ids]}).encode()  # type: ignore[attr-defined]
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def endpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[HTTPServer]:
    server = HTTPServer(("127.0.0.1", 0), Endpoint)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    (tmp_path / "config.yaml").write_text(CONFIG)
    state = ClusterState(
        id="x", kind="own", phase="running", address="127.0.0.1:1", url=f"http://127.0.0.1:{server.server_port}",
        dashboard="", application="heliostat", applications=("heliostat",), home=str(tmp_path / "home"),
        config=str(tmp_path / "config.yaml"), started=0.0,
    )  # fmt: skip
    write_state(state)
    monkeypatch.setenv("HELIOSTAT_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(loaded, "current", lambda folder: state)
    yield server
    server.shutdown()
    server.server_close()


def test_a_model_is_loaded_under_all_its_names(endpoint: HTTPServer) -> None:
    endpoint.ids = ["assistant"]  # type: ignore[attr-defined]
    found = loaded.loaded_names()
    assert found is not None
    assert {"assistant", "smollm2", "huggingfacetb/smollm2-135m-instruct"} <= found
    assert "owner/mine" not in found


def test_a_model_that_was_loaded_since_counts_too(endpoint: HTTPServer) -> None:
    endpoint.ids = ["moondream2"]  # type: ignore[attr-defined]
    assert "vikhyatk/moondream2" in (loaded.loaded_names() or ())


def test_where_the_endpoint_is_silent_all_that_is_configured_counts(
    endpoint: HTTPServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loaded, "_served", lambda url: None)
    found = loaded.loaded_names()
    assert found is not None
    assert {"assistant", "mine", "owner/mine"} <= found


def test_without_a_cluster_nothing_is_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HELIOSTAT_HOME", str(tmp_path))
    assert loaded.loaded_names() is None
