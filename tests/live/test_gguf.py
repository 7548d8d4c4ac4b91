"""A GGUF file behind the real endpoint: a cluster of its own, whose only model llama.cpp runs."""

import json
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil
import pytest
import yaml

from cluster.runtime.ports import free_block
from cluster.runtime.state import read_state
from tests.live.conftest import START_S, heliostat
from tests.live.engines.spark_gguf import spark_gguf

CHAT = "/v1/chat/completions"
SERVER = "cluster.engines.llama_cpp_server"
pytestmark = pytest.mark.live


def config_of(folder: Path, source: Path) -> Path:
    model = {"id": "spark-gguf", "engine": {"kind": "llama_cpp", "source": str(source), "max_num_seqs": 2}}
    application = {
        "name": "heliostat",
        "route_prefix": "/",
        "import_path": "deployments.app:build",
        "args": {"models": [model, {"id": "hash", "engine": {"kind": "hash"}}]},
    }
    config = folder / "gguf.yaml"
    config.write_text(yaml.safe_dump({"http_options": {"host": "127.0.0.1"}, "applications": [application]}))
    return config


@pytest.fixture(name="client")
def _client(new_home: Path) -> Iterator[httpx.Client]:
    config = config_of(new_home, spark_gguf(new_home / "spark-chat-F32.gguf"))
    port = str(free_block(16))
    done = heliostat(new_home, "up", str(config), "--port", port, "--detach", "--timeout", str(START_S - 20))
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    with httpx.Client(base_url=read_state(new_home).url, timeout=60) as client:
        yield client
    heliostat(new_home, "down", timeout=60)
    assert not servers(new_home)


def servers(home: Path) -> list[psutil.Process]:
    """The processes that run llama.cpp for the home."""
    found = []
    for process in psutil.process_iter():
        try:
            if SERVER in process.cmdline() and process.environ().get("HELIOSTAT_HOME") == str(home):
                found.append(process)
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
    return found


def body(text: str, **more: object) -> dict[str, object]:
    return {"model": "spark-gguf", "messages": [{"role": "user", "content": text}], "temperature": 0, **more}


def test_a_gguf_file_is_served_and_its_process_replaced(client: httpx.Client, new_home: Path) -> None:
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
    [first] = servers(new_home)
    first.kill()
    deadline = time.monotonic() + 60
    while (again := client.post(CHAT, json=body("What is Heliostat?", max_tokens=40))).status_code != 200:
        assert time.monotonic() < deadline, again.text
        time.sleep(0.5)
    assert again.json()["choices"][0]["message"]["content"] == said
    [second] = servers(new_home)
    assert second.pid != first.pid
