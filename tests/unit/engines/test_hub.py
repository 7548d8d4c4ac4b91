"""Downloads, from a Hub that this process serves: the real client, and no network."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from huggingface_hub import constants

from cluster.config import resolve
from cluster.engines.factory import chat_engine, embedding_engine
from cluster.engines.hub import fetch
from cluster.errors import StartFailed
from cluster.settings.models import HubSettings

COMMIT = "0123456789abcdef0123456789abcdef01234567"
FILES = {
    "config.json": b"{}",
    "model.safetensors": b"weights",
    "pytorch_model.bin": b"the same once more",
    "onnx/model.onnx": b"the same again",
}
PICKLED = {"config.json": b"{}", "pytorch_model.bin": b"weights"}
REPOSITORIES = {"owner/model": FILES, "owner/pickled": PICKLED}


class Hub(BaseHTTPRequestHandler):
    """As much of the Hub as a download asks for; `owner/gated` wants its terms accepted, others do not exist."""

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        owner, name, rest = [*path.removeprefix("/api/models").strip("/").split("/", 2), "", ""][:3]
        files = REPOSITORIES.get(f"{owner}/{name}")
        if name == "gated":
            self._send(403, b"{}", {"X-Error-Code": "GatedRepo"})
        elif files is None:
            self._send(404, b"{}", {"X-Error-Code": "RepoNotFound"})
        elif rest == f"tree/{COMMIT}":
            tree = [{"type": "file", "path": file, "size": len(files[file]), "oid": file} for file in files]
            self._send(200, json.dumps(tree).encode(), {})
        elif path.startswith("/api/models/"):
            if rest.removeprefix("revision/") not in {"", "main", COMMIT}:
                self._send(404, b"{}", {"X-Error-Code": "RevisionNotFound"})
                return
            about = {"id": f"{owner}/{name}", "sha": COMMIT, "siblings": [{"rfilename": file} for file in files]}
            self._send(200, json.dumps(about).encode(), {})
        else:
            content = files[rest.removeprefix(f"resolve/{COMMIT}/")]
            self._send(200, content, {"ETag": f'"{hash(content)}"', "X-Repo-Commit": COMMIT})

    def do_HEAD(self) -> None:
        self.do_GET()

    def _send(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for key, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(key, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    point_at(f"http://127.0.0.1:{server.server_port}", monkeypatch)
    yield
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def unreachable(monkeypatch: pytest.MonkeyPatch) -> None:
    point_at("http://127.0.0.1:1", monkeypatch)


def point_at(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "ENDPOINT", address)
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_PROGRESS_BARS", True)
    template = address + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)


def test_a_folder_is_itself(tmp_path: Path) -> None:
    assert fetch("m", str(tmp_path), HubSettings(offline=True)) == str(tmp_path)


def names(folder: str) -> set[str]:
    return {str(file.relative_to(folder)) for file in Path(folder).rglob("*") if file.is_file()}


def test_weights_come_once_and_what_no_engine_reads_does_not(served: None, tmp_path: Path) -> None:
    folder = fetch("m", "owner/model", HubSettings(model_path=str(tmp_path)))
    assert names(folder) == {"config.json", "model.safetensors"}
    assert Path(folder).is_relative_to(tmp_path)


def test_pickled_weights_come_where_there_are_no_others(served: None, tmp_path: Path) -> None:
    folder = fetch("m", "owner/pickled", HubSettings(model_path=str(tmp_path)))
    assert names(folder) == {"config.json", "pytorch_model.bin"}


def test_what_was_downloaded_needs_no_network_again(
    served: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = fetch("m", "owner/model", HubSettings(model_path=str(tmp_path)))
    point_at("http://127.0.0.1:1", monkeypatch)
    assert fetch("m", "owner/model", HubSettings(model_path=str(tmp_path))) == folder
    assert fetch("m", "owner/model", HubSettings(model_path=str(tmp_path), offline=True)) == folder


def failure(source: str, hub: HubSettings, revision: str | None = None) -> str:
    with pytest.raises(StartFailed) as caught:
        fetch("my-model", source, hub, revision)
    line = caught.value.line()
    assert "\n" not in line
    assert "my-model" in line
    assert source in line
    return line


def test_without_a_network_the_error_says_what_to_download(unreachable: None, tmp_path: Path) -> None:
    line = failure("owner/model", HubSettings(model_path=str(tmp_path)), "v2")
    assert "cannot be reached" in line
    assert f"hf download owner/model --revision v2 --cache-dir {tmp_path}" in line
    assert "hub.offline: true" in line


def test_offline_the_error_says_so(tmp_path: Path) -> None:
    line = failure("owner/model", HubSettings(model_path=str(tmp_path), offline=True))
    assert "hub.offline is set" in line
    assert "hf download owner/model" in line
    assert "hub.offline: false" in line


@pytest.mark.parametrize("kind", ["vllm", "transformers"])
async def test_an_engine_whose_model_cannot_come_does_not_start_and_says_so(
    unreachable: None, tmp_path: Path, kind: str
) -> None:
    engine = {"kind": kind, "source": "HuggingFaceTB/SmolLM2-135M-Instruct"}
    settings = resolve({"hub": {"model_path": str(tmp_path)}, "models": [{"id": "my-model", "engine": engine}]}, {})
    with pytest.raises(StartFailed, match="my-model is HuggingFaceTB/SmolLM2-135M-Instruct on the") as caught:
        await chat_engine(settings.models[0], settings).start()
    assert "hf download HuggingFaceTB/SmolLM2-135M-Instruct" in caught.value.line()


def test_an_embedder_that_cannot_come_does_not_start_and_says_so(unreachable: None, tmp_path: Path) -> None:
    engine = {"kind": "sentence", "source": "owner/embedder"}
    settings = resolve({"hub": {"model_path": str(tmp_path)}, "models": [{"id": "mine", "engine": engine}]}, {})
    with pytest.raises(StartFailed, match="is owner/embedder on the Hugging Face Hub"):
        embedding_engine(settings.models[0], settings).start()


@pytest.mark.parametrize(
    ("source", "revision", "says"),
    [
        ("owner/nothing", None, "does not exist or is private"),
        ("owner/model", "v9", "no such revision"),
        ("owner/gated", None, "hf auth login"),
        ("a/b/c", None, "owner/name"),
    ],
)
def test_what_the_hub_refuses_is_said_in_a_line(
    served: None, tmp_path: Path, source: str, revision: str | None, says: str
) -> None:
    assert says in failure(source, HubSettings(model_path=str(tmp_path)), revision)
