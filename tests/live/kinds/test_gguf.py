"""A GGUF file behind the real endpoint, run by llama.cpp."""

import json
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from cluster.runtime.state import read_state
from tests.live.kinds.conftest import servers

CHAT = "/v1/chat/completions"


@pytest.fixture(name="client")
def _client(home: Path) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=read_state(home).url, timeout=60, trust_env=False) as client:
        yield client


def body(text: str, **more: object) -> dict[str, object]:
    return {"model": "spark-gguf", "messages": [{"role": "user", "content": text}], "temperature": 0, **more}


def test_a_gguf_file_is_served_and_its_process_replaced(client: httpx.Client, home: Path) -> None:
    [card] = [each for each in client.get("/v1/models").json()["data"] if each["id"] == "spark-gguf"]
    assert "2048" in json.dumps(card)
    answer = client.post(CHAT, json=body("What is Heliostat?", max_tokens=40))
    assert answer.status_code == 200, answer.text
    said = answer.json()["choices"][0]["message"]["content"]
    assert "Ray cluster" in said
    streamed = client.post(CHAT, json=body("What is Heliostat?", max_tokens=40, stream=True)).text
    chunks = [json.loads(line[6:]) for line in streamed.splitlines() if line.startswith("data: {")]
    assert "".join(chunk["choices"][0]["delta"].get("content", "") for chunk in chunks) == said
    assert streamed.endswith("data: [DONE]\n\n")
    refused = client.post(CHAT, json=body("Hi", min_tokens=3))
    assert (refused.status_code, refused.json()["error"]["param"]) == (400, "min_tokens")
    long = client.post(CHAT, json=body("word " * 3000))
    assert (long.status_code, long.json()["error"]["code"]) == (400, "context_length_exceeded")
    [first] = servers(home)
    first.kill()
    deadline = time.monotonic() + 60
    while (again := client.post(CHAT, json=body("What is Heliostat?", max_tokens=40))).status_code != 200:
        assert time.monotonic() < deadline, again.text
        time.sleep(0.5)
    assert again.json()["choices"][0]["message"]["content"] == said
    [second] = servers(home)
    assert second.pid != first.pid
