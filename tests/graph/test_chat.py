import json

import httpx

HELLO = {"model": "echo", "messages": [{"role": "user", "content": "hello graph"}]}


async def test_a_chat_goes_through_gateway_and_replica(graph: httpx.AsyncClient) -> None:
    answer = (await graph.post("/v1/chat/completions", json=HELLO)).json()
    assert answer["choices"][0]["message"]["content"] == "hello graph"


async def test_a_stream_goes_through_whole(graph: httpx.AsyncClient) -> None:
    response = await graph.post("/v1/chat/completions", json={**HELLO, "stream": True})
    events = [event.removeprefix("data: ") for event in response.text.split("\n\n") if event]
    assert events[-1] == "[DONE]"
    deltas = [json.loads(event)["choices"][0]["delta"].get("content", "") for event in events[:-1]]
    assert "".join(deltas) == "hello graph"


async def test_an_error_of_the_engine_keeps_its_status_across_processes(graph: httpx.AsyncClient) -> None:
    long = {**HELLO, "messages": [{"role": "user", "content": "word " * 600}]}
    for stream in (False, True):
        response = await graph.post("/v1/chat/completions", json={**long, "stream": stream})
        error = response.json()["error"]
        assert (response.status_code, error["code"]) == (400, "context_length_exceeded")


async def test_models_of_the_config_are_listed(graph: httpx.AsyncClient) -> None:
    listed = (await graph.get("/v1/models")).json()["data"]
    assert [model["id"] for model in listed] == ["echo", "slow/echo", "eye", "hash", "auto"]
    assert (await graph.get("/v1/models/slow/echo")).json()["id"] == "slow/echo"


async def test_embeddings_come_from_the_served_embedder(graph: httpx.AsyncClient) -> None:
    body = {"model": "hash", "input": ["a b", "a c"]}
    vectors = (await graph.post("/v1/embeddings", json=body)).json()["data"]
    assert len(vectors) == 2
    assert len(vectors[0]["embedding"]) == 64


async def test_health_sees_every_part(graph: httpx.AsyncClient) -> None:
    health = (await graph.get("/health")).json()
    assert health["status"] == "healthy"
    assert set(health["services"]) == {"backend", "echo", "slow/echo", "eye", "embedder", "rag_system"}
