"""A small Hugging Face Hub on loopback: what its real client asks for, and the ways in which it may fail."""

import hashlib
import json
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote

import pytest

LARGE = 1024  # bytes from which a file is kept in LFS, as on the Hub: named by its SHA-256, served by a redirect
CHUNK = 16 * 1024


@dataclass
class Faults:
    """die_at: bytes of a file after which the connection ends, each time it is asked for. dies: how often.

    wrong: content in place of the file's. busy: answers with 429 first, with that Retry-After. ranges: whether a
    part may be asked for. slow_s: before every chunk. gated: files, not what is said of them, as on the Hub.
    """

    die_at: int | None = None
    dies: int = 10**6
    wrong: bytes | None = None
    busy: int = 0
    retry_after: str | None = "0"
    status: int | None = None
    code: str | None = None
    ranges: bool = True
    slow_s: float = 0.0
    gated: bool = False


@dataclass
class FakeHub:
    """repositories: name to path to content. asked: (path, Range) of every request for content."""

    address: str
    repositories: dict[str, dict[str, bytes]]
    faults: Faults = field(default_factory=Faults)
    asked: list[tuple[str, str | None]] = field(default_factory=list)

    def commit(self, name: str) -> str:
        """Of the one revision that a repository has."""
        content = b"".join(path.encode() + data for path, data in sorted(self.repositories[name].items()))
        return hashlib.sha1(content).hexdigest()


@contextmanager
def serving(repositories: Mapping[str, Mapping[str, bytes]]) -> Iterator[FakeHub]:
    """The server, for as long as the block."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.daemon_threads = True
    hub = FakeHub(
        address=f"http://127.0.0.1:{server.server_port}",
        repositories={name: dict(files) for name, files in repositories.items()},
    )
    server.hub = hub  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def point_at(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What HF_ENDPOINT does in a new process."""
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "ENDPOINT", address)
    monkeypatch.setattr(
        constants, "HUGGINGFACE_CO_URL_TEMPLATE", address + "/{repo_id}/resolve/{revision}/{filename}"
    )
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_PROGRESS_BARS", True)


def lfs(data: bytes) -> bool:
    return len(data) >= LARGE


def etag(data: bytes) -> str:
    if lfs(data):
        return hashlib.sha256(data).hexdigest()
    return hashlib.sha1(f"blob {len(data)}\0".encode() + data).hexdigest()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    @property
    def hub(self) -> FakeHub:
        return self.server.hub  # type: ignore[attr-defined, no-any-return]

    def do_GET(self) -> None:
        path = unquote(self.path.partition("?")[0])
        faults = self.hub.faults
        if faults.busy > 0:
            faults.busy -= 1
            headers = {"Retry-After": faults.retry_after} if faults.retry_after else {}
            self._send(429, b"{}", headers)
        elif path.startswith("/api/models/"):
            self._about(path.removeprefix("/api/models/"))
        elif path.startswith("/cdn/"):
            self._content(path.removeprefix("/cdn/"), redirect=False)
        else:
            self._content(path.removeprefix("/"), redirect=True)

    def do_HEAD(self) -> None:
        self.do_GET()

    def _about(self, path: str) -> None:
        name, _, revision = path.partition("/revision/")
        name, _, listed = name.partition("/tree/")
        faults = self.hub.faults
        if faults.status is not None:
            self._send(faults.status, b"{}", {"X-Error-Code": faults.code} if faults.code else {})
            return
        files = self.hub.repositories.get(name)
        if name.endswith("/gated"):
            self._send(403, b"{}", {"X-Error-Code": "GatedRepo"})
        elif files is None:
            self._send(401, b"{}", {"X-Error-Code": "RepoNotFound"})
        elif revision not in {"", "main", self.hub.commit(name)}:
            self._send(404, b"{}", {"X-Error-Code": "RevisionNotFound"})
        elif listed:
            tree = [
                {"type": "file", "path": file, "oid": etag(data), **_size(data)} for file, data in files.items()
            ]
            self._send(200, json.dumps(tree).encode(), {})
        else:
            siblings = [_sibling(file, data) for file, data in files.items()]
            about = {"id": name, "sha": self.hub.commit(name), "siblings": siblings}
            self._send(200, json.dumps(about).encode(), {})

    def _content(self, path: str, *, redirect: bool) -> None:
        name, _, rest = path.partition("/resolve/")
        file = rest.partition("/")[2]
        data = self.hub.repositories.get(name, {}).get(file)
        if data is None:
            self._send(404, b"", {"X-Error-Code": "EntryNotFound"})
            return
        if self.hub.faults.gated:
            self._send(401, b"", {"X-Error-Code": "GatedRepo"})
            return
        if redirect and lfs(data):
            self._send(302, b"", self._linked(path, name, data))
            return
        span = self.headers.get("Range")
        self.hub.asked.append((file, span))
        faults = self.hub.faults
        data = faults.wrong if faults.wrong is not None and lfs(data) else data
        start = int(span.removeprefix("bytes=").partition("-")[0]) if span and faults.ranges else 0
        self._stream(data, start, status=206 if span and faults.ranges else 200)

    def _linked(self, path: str, name: str, data: bytes) -> dict[str, str]:
        return {
            "Location": f"{self.hub.address}/cdn/{path}",
            "X-Linked-Etag": f'"{etag(data)}"',
            "X-Linked-Size": str(len(data)),
            "X-Repo-Commit": self.hub.commit(name),
        }

    def _stream(self, data: bytes, start: int, *, status: int) -> None:
        faults = self.hub.faults
        self.send_response(status)
        self.send_header("ETag", f'"{etag(data)}"')
        self.send_header(
            "X-Repo-Commit", self.hub.commit(self.path.removeprefix("/cdn").split("/resolve/")[0].strip("/"))
        )
        self.send_header("Content-Length", str(len(data) - start))
        if status == 206:
            self.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
        self.end_headers()
        dying = faults.die_at is not None and faults.dies > 0 and len(data) > faults.die_at
        end = max(start, faults.die_at) if dying and faults.die_at is not None else len(data)
        for begin in range(start, end, CHUNK) if self.command == "GET" else ():
            if faults.slow_s:
                time.sleep(faults.slow_s)
            try:
                self.wfile.write(data[begin : min(begin + CHUNK, end)])
            except OSError:
                return
        if dying:
            faults.dies -= 1
            self.close_connection = True

    def _send(self, status: int, body: bytes, headers: Mapping[str, str]) -> None:
        self.send_response(status)
        for key, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(key, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def _size(data: bytes) -> dict[str, object]:
    oid = {"oid": hashlib.sha256(data).hexdigest(), "size": len(data), "pointerSize": 134}
    return {"size": len(data), **({"lfs": oid} if lfs(data) else {})}


def _sibling(file: str, data: bytes) -> dict[str, object]:
    about: dict[str, object] = {"rfilename": file, "size": len(data), "blobId": hashlib.sha1(data).hexdigest()}
    if lfs(data):
        about["lfs"] = {"size": len(data), "sha256": hashlib.sha256(data).hexdigest(), "pointerSize": 134}
    else:
        about["blobId"] = etag(data)
    return about
