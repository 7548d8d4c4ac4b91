"""The `ollama` client, unchanged, against a real cluster: it chats, generates, embeds, lists, pulls and deletes."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import ollama
import pytest

from cluster.runtime.state import read_state
from tests.live.kinds.conftest import MORE

STORY = [{"role": "user", "content": "Tell me a short story about a mirror."}]
COLD = {"temperature": 0, "num_predict": 16}
CHAT = "spark-chat"  # of the catalog: the fleet loads it, vLLM runs it


@pytest.fixture(scope="module")
def client(home: Path) -> Iterator[ollama.Client]:
    with ollama.Client(host=read_state(home).url, trust_env=False) as client:
        yield client


def loaded(client: ollama.Client) -> set[str | None]:
    return {model.model for model in client.ps().models}


def test_a_chat_loads_its_model_and_a_stream_says_the_same(client: ollama.Client) -> None:
    whole = client.chat(CHAT, STORY, options=COLD, keep_alive="10m")
    assert (whole.load_duration or 0) > 0
    assert (whole.total_duration or 0) > (whole.load_duration or 0)
    pieces = list(client.chat(CHAT, STORY, options=COLD, stream=True))
    assert len(pieces) > 2
    assert "".join(piece.message.content or "" for piece in pieces) == whole.message.content
    last = pieces[-1]
    assert (last.done, last.eval_count, last.done_reason) == (True, whole.eval_count, whole.done_reason)
    assert (last.eval_duration or 0) > 0
    assert (last.prompt_eval_duration or 0) > 0
    assert (last.load_duration or 0) < (whole.load_duration or 0) / 10


def test_it_generates_with_and_without_the_template(client: ollama.Client) -> None:
    asked = client.generate(f"{CHAT}:latest", STORY[0]["content"], options=COLD)
    assert asked.response
    assert asked.model == f"{CHAT}:latest"
    raw = client.generate(CHAT, "Once upon", raw=True, options=COLD)
    assert raw.eval_count == COLD["num_predict"] or raw.done_reason == "stop"
    answer = client.generate(
        CHAT, "Name a city.", format={"type": "object", "properties": {"a": {"type": "integer"}}}, options=COLD
    )
    assert (answer.response or "").lstrip().startswith("{")


def test_it_embeds(client: ollama.Client) -> None:
    found = client.embed("all-MiniLM-L6-v2", ["a mirror", "a lake"])
    assert [len(vector) for vector in found.embeddings] == [384, 384]
    assert (found.prompt_eval_count or 0) > 3
    one = client.embeddings("all-MiniLM-L6-v2", "a mirror")
    assert list(one.embedding) == pytest.approx(list(found.embeddings[0]), abs=1e-4)


def test_it_lists_and_shows(client: ollama.Client) -> None:
    rows = {model.model: model for model in client.list().models}
    assert {"parrot:latest", f"{CHAT}:latest", "all-MiniLM-L6-v2:latest"} <= rows.keys()
    assert int(rows[f"{CHAT}:latest"].size or 0) > 1_000_000
    shown = client.show(CHAT)
    assert "completion" in (shown.capabilities or [])
    assert shown.template
    assert shown.modelinfo
    with pytest.raises(ollama.ResponseError, match="nobody") as refused:
        client.show("nobody")
    assert refused.value.status_code == 404


def test_what_is_loaded_is_told_and_goes_when_it_is_asked_to(client: ollama.Client) -> None:
    client.chat(CHAT, STORY, options=COLD, keep_alive="10m")
    time.sleep(1)  # the gateway keeps its claim a moment, and what is in use has no end
    row = next(model for model in client.ps().models if model.model == f"{CHAT}:latest")
    assert row.expires_at is not None
    assert 500 < (row.expires_at - datetime.now(UTC)).total_seconds() < 601
    assert int(row.size or 0) > 0
    gone = client.generate(CHAT, keep_alive=0)
    assert gone.done_reason == "unload"
    until = time.monotonic() + 30
    while f"{CHAT}:latest" in loaded(client):
        assert time.monotonic() < until
        time.sleep(0.2)
    assert "parrot:latest" in loaded(client)


def test_it_pulls_from_a_registry_and_deletes(client: ollama.Client) -> None:
    told = list(client.pull(MORE, stream=True))
    assert told[0].status == "pulling manifest"
    assert told[-1].status == "success"
    weights = [one for one in told if one.total and one.total > 512 * 1024]
    assert weights[-1].completed == weights[-1].total
    assert (weights[-1].digest or "").startswith("sha256:")
    assert client.pull(f"{MORE}:latest").status == "success"
    assert f"{MORE}:latest" in {model.model for model in client.list().models}
    assert client.delete(MORE).status == "success"
    assert f"{MORE}:latest" not in {model.model for model in client.list().models}
    with pytest.raises(ollama.ResponseError, match="parrot"):
        client.delete("parrot")


def test_its_errors_are_of_its_own_kind(client: ollama.Client) -> None:
    with pytest.raises(ollama.ResponseError, match=r"options\.num_gpu") as refused:
        client.chat("parrot", STORY, options={"num_gpu": 1})
    assert (refused.value.status_code, refused.value.error.count("{")) == (400, 0)
