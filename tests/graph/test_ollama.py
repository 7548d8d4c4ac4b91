"""Ollama's API through the gateway and its replicas."""

import json

import httpx

HELLO = {"model": "echo:latest", "messages": [{"role": "user", "content": "hello graph"}]}


async def test_a_chat_goes_through_whole_and_streamed(graph: httpx.AsyncClient) -> None:
    whole = (await graph.post("/api/chat", json={**HELLO, "stream": False})).json()
    assert whole["message"]["content"] == "hello graph"
    stream = await graph.post("/api/chat", json=HELLO)
    *pieces, last = [json.loads(line) for line in stream.text.splitlines()]
    assert "".join(piece["message"]["content"] for piece in pieces) == "hello graph"
    assert last["done"] is True
    assert last["prompt_eval_duration"] > 0
    assert last["eval_duration"] > 0
    assert last["prompt_eval_duration"] + last["eval_duration"] < last["total_duration"]
    assert "x-heliostat-timing" in stream.headers


async def test_a_raw_prompt_and_embeddings_go_through(graph: httpx.AsyncClient) -> None:
    raw = {"model": "echo", "prompt": "word " * 30, "raw": True, "stream": False}
    assert (await graph.post("/api/generate", json=raw)).json()["eval_count"] == 30
    found = (await graph.post("/api/embed", json={"model": "hash", "input": ["a", "b"]})).json()
    assert len(found["embeddings"]) == 2


async def test_models_are_listed_and_shown(graph: httpx.AsyncClient) -> None:
    tags, running = (await graph.get("/api/tags")).json(), (await graph.get("/api/ps")).json()
    names = {row["name"] for row in tags["models"]}
    assert {"echo:latest", "slow/echo:latest", "hash:latest"} <= names
    assert {row["name"] for row in running["models"]} >= {"echo:latest", "hash:latest"}
    shown = (await graph.post("/api/show", json={"model": "eye"})).json()
    assert shown["capabilities"] == ["completion", "vision"]
