"""What our wrapper changes in the configuration that Ray writes for HAProxy."""

import json
import re
import subprocess
from pathlib import Path

import pytest

from cluster.runtime import haproxy

RAYS = """global
    maxconn 100
defaults
    mode http
    timeout connect 1s
    timeout client 1s
    timeout server 1s
    option splice-request
    option splice-response
    errorfile 502 /nowhere/500.http
    errorfile 503 /nowhere/500.http
    errorfile 504 /nowhere/500.http
frontend prometheus
    bind :20013
frontend http_frontend
    bind 127.0.0.1:20500
    default_backend gateway
backend gateway
    server one 127.0.0.1:20501
listen stats
  bind *:20012
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    found = tmp_path / "haproxy.cfg"
    found.write_text(RAYS)
    return found


def wrapped(tmp_path: Path, config: Path, *words: str, binary: str = "/bin/echo") -> str:
    wrapper = haproxy.wrap(tmp_path, binary, 20_000, "a-secret")
    assert wrapper is not None
    done = subprocess.run([wrapper, *words, "-f", config, "-sf", "1"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_its_own_ports_move_to_loopback_and_only_those(tmp_path: Path, config: Path) -> None:
    assert wrapped(tmp_path, config, "-db") == f"-db -f {config} -sf 1\n"
    binds = [line.split()[1] for line in config.read_text().splitlines() if "bind" in line]
    assert binds == ["127.0.0.1:20013", "127.0.0.1:20500", "127.0.0.1:20012"]


def test_requests_are_not_spliced(tmp_path: Path, config: Path) -> None:
    wrapped(tmp_path, config)
    assert "splice-request" not in config.read_text()
    assert "splice-response" in config.read_text()


def test_the_client_is_named_with_the_secret_in_the_frontend_alone(tmp_path: Path, config: Path) -> None:
    wrapped(tmp_path, config)
    lines = config.read_text().splitlines()
    told = [at for at, line in enumerate(lines) if "x-heliostat-client" in line]
    assert [lines[at].strip() for at in told] == [
        'http-request set-header x-heliostat-client "a-secret %[src] %[src_port]"'
    ]
    assert lines[told[0] - 1] == "frontend http_frontend"


def test_its_errors_are_json_in_openais_envelope(tmp_path: Path, config: Path) -> None:
    wrapped(tmp_path, config)
    assert "errorfile" not in config.read_text()
    found = re.findall(r"http-error status (\d+) content-type application/json.* string '(.*)'", config.read_text())
    assert {"400", "408", "502", "503", "504"} <= {status for status, _ in found}
    for status, body in found:
        error = json.loads(body)["error"]
        assert set(error) == {"message", "type", "param", "code"}
        assert error["type"] == ("server_error" if int(status) >= 500 else "invalid_request_error")


def test_a_config_that_was_changed_is_not_changed_again(tmp_path: Path, config: Path) -> None:
    wrapped(tmp_path, config)
    once = config.read_text()
    wrapped(tmp_path, config)
    assert config.read_text() == once


def test_nobody_else_reads_the_secret(tmp_path: Path, config: Path) -> None:
    wrapped(tmp_path, config)
    holding = [file for file in tmp_path.iterdir() if file != config and "a-secret" in file.read_text()]
    assert [file.stat().st_mode & 0o077 for file in holding] == [0]


def test_haproxy_takes_what_was_made_of_it(tmp_path: Path, config: Path) -> None:
    binary = haproxy.binary()
    if binary is None:
        pytest.skip("there is no HAProxy here")
    wrapper = haproxy.wrap(tmp_path, binary, 20_000, "a-secret")
    assert wrapper is not None
    done = subprocess.run([wrapper, "-c", "-f", config], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
