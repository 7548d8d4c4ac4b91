"""Settings of models that run elsewhere: what a config may say, and that it can hold no secret."""

from typing import Any

import pytest

from cluster.config import resolve, secret
from cluster.engines.factory import chat_engine, embedding_engine
from cluster.engines.remote.embedding import RemoteEmbedder
from cluster.engines.remote.ollama import OllamaEngine
from cluster.engines.remote.openai import OpenAIEngine
from cluster.errors import SettingsError, StartFailed

OPENAI = {"kind": "openai", "base_url": "https://api.example.com/v1", "model": "big"}
OLLAMA = {"kind": "ollama", "model": "llama3.2"}


def settings(engine: dict[str, Any], **model: Any) -> Any:
    return resolve({"models": [{"id": "gpt", "engine": engine, **model}]}, {})


@pytest.mark.parametrize(
    ("engine", "task", "kind"),
    [
        (OPENAI, None, OpenAIEngine),
        (OLLAMA, None, OllamaEngine),
        (OPENAI, "embedding", RemoteEmbedder),
        (OLLAMA, "embedding", RemoteEmbedder),
    ],
)
def test_a_config_names_a_remote_engine(engine: dict[str, Any], task: str | None, kind: type) -> None:
    tree = settings(engine, **({"task": task} if task else {}))
    make = embedding_engine if task else chat_engine
    assert isinstance(make(tree.models[0], tree), kind)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"base_url": "api.example.com"}, "not an address"),
        ({"base_url": "ftp://api.example.com"}, "not an http"),
        ({"base_url": "https://me:secret@api.example.com/v1"}, "without a user"),
        ({"base_url": "https://api.example.com/v1#x"}, "without a fragment"),
        ({"proxy": "nowhere"}, "not an address"),
        ({"api_key": "sk-1"}, "unknown key"),
        ({"api_key_env": "MY-KEY"}, "pattern"),
        ({"headers": {"Authorization": "Bearer sk-1"}}, "sounds like a secret"),
        ({"headers": {"X-Api-Key": "sk-1"}}, "sounds like a secret"),
        ({"headers": {"Host": "x"}}, "not a header that may be set"),
        ({"headers": {"x y": "z"}}, "not a header that may be set"),
        ({"headers": {"x-a": "b\r\nx-c: d"}}, "not one line"),
        ({"timeouts": {"connect_ms": 0}}, "greater than or equal to 1"),
        ({"max_retries": 2}, "unknown key"),
    ],
)
def test_what_a_config_may_not_say(change: dict[str, Any], words: str) -> None:
    with pytest.raises(SettingsError, match=words):
        settings({**OPENAI, **change})


def test_remote_models_do_not_count_as_loaded() -> None:
    models = [{"id": f"m{at}", "engine": OPENAI if at % 2 else OLLAMA} for at in range(8)]
    assert len(resolve({"models": models}, {}).chat_models) == 8


def test_a_key_is_read_from_the_variable_that_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    tree = settings({**OPENAI, "api_key_env": "EXAMPLE_KEY"})
    monkeypatch.delenv("EXAMPLE_KEY", raising=False)
    with pytest.raises(StartFailed, match="EXAMPLE_KEY is not set"):
        chat_engine(tree.models[0], tree)
    monkeypatch.setenv("EXAMPLE_KEY", "sk-1\nx")
    with pytest.raises(StartFailed, match="no header can carry") as caught:
        chat_engine(tree.models[0], tree)
    assert "sk-1" not in caught.value.line()
    monkeypatch.setenv("EXAMPLE_KEY", " sk-1 ")
    assert chat_engine(tree.models[0], tree)
    assert "sk-1" not in repr(tree)


def test_a_secret_that_is_empty_is_none() -> None:
    assert secret("K", {"K": " sk "}) == "sk"
    assert secret("K", {"K": " "}) is None
    assert secret("K", {}) is None
