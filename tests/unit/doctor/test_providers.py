"""What the doctor says of models that run elsewhere, and of those that llama.cpp runs."""

import socket
import threading
from collections.abc import Iterator

import pytest

from cluster.config import resolve
from cluster.doctor.checks import Level, check_llama_cpp
from cluster.doctor.providers import ProviderFacts, check_provider, look
from cluster.settings.tree import Settings


def remote(address: str, name: str = "far", **more: object) -> dict[str, object]:
    return {"id": name, "task": "chat", "engine": {"kind": "openai", "base_url": address, "model": "m", **more}}


def settings(*models: dict[str, object], **changes: object) -> Settings:
    return resolve({"models": list(models), "hub": {"max_cached_models": 9}, **changes}, {})


class Heard:
    """A server that only notes what it is told, until the client hangs up."""

    def __init__(self) -> None:
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.port: int = self.socket.getsockname()[1]
        self.said: list[bytes] = []
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        try:
            while True:
                connection, _ = self.socket.accept()
                with connection:
                    self.said.append(connection.recv(4096))
        except OSError:  # closed: the test is over
            return


@pytest.fixture
def server() -> Iterator[Heard]:
    heard = Heard()
    yield heard
    heard.socket.close()


def test_a_provider_that_listens_is_well_and_is_told_nothing(
    server: Heard, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAR_KEY", "sk-secret")
    here = f"http://127.0.0.1:{server.port}"
    models = (remote(f"{here}/v1", api_key_env="FAR_KEY"), remote(f"{here}/v1", "second"))
    (found,) = look(settings(*models))
    assert found == ProviderFacts(names=("far", "second"), address=here)
    assert check_provider(found).level is Level.OK
    assert not any(server.said)


def test_a_provider_that_does_not_listen_is_a_failure() -> None:
    with socket.create_server(("127.0.0.1", 0)) as nobody:
        port = nobody.getsockname()[1]
    (found,) = look(settings(remote(f"http://127.0.0.1:{port}/v1")))
    finding = check_provider(found)
    assert (finding.level, "refused" in finding.what, "fallbacks" in finding.hint) == (Level.FAIL, True, True)


def test_a_provider_without_a_certificate_is_a_failure_and_the_proxy_is_asked_in_its_place(server: Heard) -> None:
    plain = remote(f"https://127.0.0.1:{server.port}/v1")
    (found,) = look(settings(plain))
    assert check_provider(found).level is Level.FAIL
    proxied = remote("https://api.example.invalid/v1", proxy=f"http://127.0.0.1:{server.port}")
    (found,) = look(settings(proxied))
    assert check_provider(found).level is Level.OK


def test_a_key_that_is_not_set_is_a_failure_that_names_its_variable(
    server: Heard, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("FAR_KEY", raising=False)
    (found,) = look(settings(remote(f"http://127.0.0.1:{server.port}", api_key_env="FAR_KEY")))
    finding = check_provider(found)
    assert (finding.level, "FAR_KEY is not set" in finding.what) == (Level.FAIL, True)


def test_a_key_over_plain_http_to_another_machine_is_a_warning(
    server: Heard, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAR_KEY", "sk-secret")
    proxy = f"http://127.0.0.1:{server.port}"  # so that nothing leaves this machine
    clear = remote("http://api.example.invalid/v1", api_key_env="FAR_KEY", proxy=proxy)
    (found,) = look(settings(clear))
    assert (check_provider(found).level, "in clear" in check_provider(found).what) == (Level.WARN, True)
    (found,) = look(settings(remote("http://api.example.invalid/v1", proxy=proxy)))
    assert check_provider(found).level is Level.OK


def test_providers_without_models_of_their_own_are_looked_at_too(server: Heard) -> None:
    offered = {"id": "studio", "kind": "ollama", "url": f"http://127.0.0.1:{server.port}"}
    (found,) = look(settings({"id": "echo", "engine": {"kind": "scripted"}}, providers=[offered]))
    assert (found.names, found.problem) == (("studio",), None)


def test_what_runs_gguf_files() -> None:
    assert check_llama_cpp("2026.10", None, ["llama_cpp"]).level is Level.OK
    assert check_llama_cpp("2026.10", "signal 4", ["llama_cpp"]).level is Level.FAIL
    assert check_llama_cpp("2026.10", "signal 4", ["vllm"]).level is Level.WARN
    assert check_llama_cpp(None, None, []).level is Level.WARN
    missing = check_llama_cpp(None, None, ["llama_cpp"])
    assert (missing.level, "heliostat-serve[llama-cpp]" in missing.hint) == (Level.FAIL, True)
