"""What stands before the gateway, HAProxy and the plain proxy alike: who asks, what is stripped, what ends."""

import json
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from cluster.runtime import haproxy, processes
from cluster.runtime.ports import free_block
from cluster.runtime.state import read_state
from tests.live.conftest import heliostat
from tests.live.starting import scripted
from tests.unit.runtime.test_haproxy import RAYS

AUTH = """
      auth: {mode: on, failures_by_address: 1, failures_by_account: 1000, hash_memory_kib: 8, hash_rounds: 1}
"""
ALLOWED = 10  # failures of a loopback address: ten times auth.failures_by_address
BODY = {"model": "parrot", "stream": True, "messages": [{"role": "user", "content": "one two three"}]}


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    home: Path
    port: int
    key: dict[str, str]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def post(self, path: str, body: object, headers: dict[str, str], *, source: str = "127.0.0.1") -> str:
        """The status line, the headers and the body of an answer to somebody at another address."""
        with self.connection(path, body, headers, source=source) as asked:
            return b"".join(iter(lambda: asked.recv(65536), b"")).decode()

    def connection(
        self, path: str, body: object, headers: dict[str, str], *, source: str = "127.0.0.1"
    ) -> socket.socket:
        content = json.dumps(body).encode()
        lines = {"host": "127.0.0.1", "content-length": str(len(content)), "connection": "close", **headers}
        head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
        asked = socket.create_connection(("127.0.0.1", self.port), timeout=60, source_address=(source, 0))
        asked.sendall(f"POST {path} HTTP/1.1\r\n{head}\r\n".encode() + content)
        return asked

    def running(self) -> int:
        """Requests that the engine answers now."""
        load = httpx.get(f"{self.url}/health", trust_env=False, timeout=10).json()["load"]
        return int(load["parrot"]["running"])

    def wait_until_idle(self, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while self.running():
            assert time.monotonic() < deadline, "the generation goes on"
            time.sleep(0.2)


@pytest.fixture(scope="module", params=["haproxy", "plain proxy"])
def served(request: pytest.FixtureRequest) -> Iterator[Served]:
    """A cluster with authentication whose model takes a minute for an answer."""
    home = Path(tempfile.mkdtemp(prefix="heliostat-plane-"))
    config = scripted(home, engine="{kind: scripted, tokens: 600, token_delay_s: 0.1}")
    config.write_text(config.read_text() + AUTH)
    flags = ["--plain-proxy"] if request.param == "plain proxy" else []
    done = heliostat(home, "up", str(config), "--detach", *flags)
    assert done.returncode == 0, done.stderr
    state = read_state(home)
    try:
        names = {item.name for item in processes.listeners(state.id)}
        assert ("haproxy" in names) is (request.param == "haproxy")
        made = heliostat(home, "keys", "create", "--name", "the tests'")
        key = {"authorization": f"Bearer {made.stdout.strip()}"}
        yield Served(home=home, port=int(state.url.rpartition(":")[2]), key=key)
    finally:
        heliostat(home, "down", timeout=60)
        shutil.rmtree(home, ignore_errors=True)


def wrong_password(served: Served, source: str, **headers: str) -> int:
    body = {"email": "nobody", "password": "not the password"}
    answer = served.post("/api/v1/auth/login", body, headers, source=source)
    return int(answer.split(" ")[1])


def test_wrong_passwords_are_counted_by_the_real_address_whatever_a_client_says(served: Served) -> None:
    forged = {"X-Forwarded-For": "192.0.2.9", "X-Heliostat-Client": "x 192.0.2.9 1", "Forwarded": "for=192.0.2.9"}
    statuses = [wrong_password(served, "127.0.0.2", **forged) for _ in range(ALLOWED + 1)]
    assert statuses == [401] * ALLOWED + [429]
    for claimed in ("192.0.2.10", "127.0.0.3"):
        forged = {"X-Forwarded-For": claimed, "X-Heliostat-Client": f"x {claimed} 1"}
        assert wrong_password(served, "127.0.0.2", **forged) == 429
    assert wrong_password(served, "127.0.0.3") == 401, "one address locks no other out"


def test_no_header_lets_a_generation_go_on_for_nobody(served: Served) -> None:
    headers = {**served.key, "x-request-disconnect-disabled": "?1"}
    asked = served.connection("/v1/chat/completions", BODY, headers)
    assert b"200" in asked.recv(4096)
    assert served.running() == 1
    asked.close()
    served.wait_until_idle(5)


def test_a_stream_ends_soon_after_its_key_was_revoked(served: Served) -> None:
    made = heliostat(served.home, "keys", "create", "--name", "short-lived").stdout.strip()
    began = 0.0
    events = []
    with httpx.stream(
        "POST",
        f"{served.url}/v1/chat/completions",
        json=BODY,
        headers={"authorization": f"Bearer {made}"},
        trust_env=False,
        timeout=30,
    ) as answer:
        assert answer.status_code == 200
        for line in answer.iter_lines():
            if not began:
                heliostat(served.home, "keys", "revoke", made)
                began = time.monotonic()
            if line.startswith("data: "):
                events.append(line.removeprefix("data: "))
    assert time.monotonic() - began < 10
    assert json.loads(events[-1])["error"]["code"] == "invalid_api_key"
    served.wait_until_idle(5)


def test_haproxys_own_errors_are_json(tmp_path: Path) -> None:
    binary, port = haproxy.binary(), free_block(2)
    assert binary is not None
    config = tmp_path / "haproxy.cfg"
    text = RAYS.split("frontend prometheus")[0] + RAYS[RAYS.index("frontend http_frontend") : RAYS.index("listen")]
    config.write_text(text.replace("20500", str(port)).replace("20501", str(port + 1)))
    wrapper = haproxy.wrap(tmp_path, binary, 20_000, "s3cret")
    assert wrapper is not None
    process = subprocess.Popen([wrapper, "-db", "-f", config])
    try:
        deadline = time.monotonic() + 10
        while True:
            try:
                asked = socket.create_connection(("127.0.0.1", port), timeout=10)
                break
            except ConnectionRefusedError:
                assert time.monotonic() < deadline
                time.sleep(0.05)
        with asked:
            asked.sendall(b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
            head, _, body = b"".join(iter(lambda: asked.recv(65536), b"")).partition(b"\r\n\r\n")
    finally:
        process.terminate()
        process.wait(10)
    assert head.startswith(b"HTTP/1.1 503")
    assert b"content-type: application/json" in head
    assert b"retry-after: 1" in head
    assert json.loads(body)["error"]["code"] == "unavailable"
