import json

import httpx
import pytest

from cluster.errors import EngineFailure
from tests.unit.gateway.conftest import app_over, client_of, settings_with, started


async def test_a_chat_answers_with_openais_object(ask) -> None:
    answer = (await ask(temperature=0)).json()
    assert answer["object"] == "chat.completion"
    assert answer["model"] == "echo"
    message = answer["choices"][0]["message"]
    assert (message["role"], message["content"]) == ("assistant", "one two three")
    assert answer["choices"][0]["finish_reason"] == "stop"
    assert answer["usage"] == {"prompt_tokens": 3, "completion_tokens": 3, "total_tokens": 6}


async def test_a_stream_carries_the_same_text_and_ends_with_done(ask) -> None:
    response = await ask(temperature=0, stream=True, stream_options={"include_usage": True})
    assert response.headers["content-type"].startswith("text/event-stream")
    events = [line.removeprefix("data: ") for line in response.text.split("\n\n") if line]
    assert events[-1] == "[DONE]"
    chunks = [json.loads(event) for event in events[:-1]]
    said = "".join(c["choices"][0]["delta"].get("content", "") for c in chunks if c["choices"])
    assert said == "one two three"
    assert chunks[-1]["choices"] == []
    assert chunks[-1]["usage"]["completion_tokens"] == 3


async def test_the_clients_request_id_comes_back(client) -> None:
    response = await client.get("/v1/models", headers={"x-request-id": "abc-1"})
    assert response.headers["x-request-id"] == "abc-1"


async def test_a_request_id_that_could_split_a_log_line_is_replaced(client) -> None:
    response = await client.get("/v1/models", headers={"x-request-id": "a b"})
    assert response.headers["x-request-id"] != "a b"


async def test_models_lists_the_chat_model_and_the_embedder(client) -> None:
    listed = (await client.get("/v1/models")).json()
    assert [model["id"] for model in listed["data"]] == ["echo", "hash", "auto"]
    assert (await client.get("/v1/models/hash")).json()["task"] == "embedding"
    missing = await client.get("/v1/models/nope")
    assert (missing.status_code, missing.json()["error"]["code"]) == (404, "model_not_found")


MESSAGE = {"role": "user", "content": "hi"}
REFUSED = {
    "no messages": ({"messages": []}, "messages", "invalid_request"),
    "unknown role": ({"messages": [{"role": "wizard", "content": "hi"}]}, "messages[0]", "invalid_request"),
    "content of a wrong type": (
        {"messages": [{"role": "user", "content": 5}]},
        "messages[0].content",
        "invalid_request",
    ),
    "no content": ({"messages": [{"role": "user"}]}, "messages[0].content", "invalid_request"),
    "negative max_tokens": ({"max_tokens": -1}, "max_tokens", "invalid_request"),
    "max_tokens as text": ({"max_tokens": "5"}, "max_tokens", "invalid_request"),
    "max_tokens true": ({"max_tokens": True}, "max_tokens", "invalid_request"),
    "temperature 3": ({"temperature": 3}, "temperature", "invalid_request"),
    "n of a billion": ({"n": 10**9}, "n", "invalid_request"),
    "top_logprobs 21": ({"logprobs": True, "top_logprobs": 21}, "top_logprobs", "invalid_request"),
    "an unknown field": ({"temprature": 1}, "temprature", "invalid_request"),
    "a parameter the model does not honour": ({"top_k": 3}, "top_k", "unsupported_parameter"),
    "an unsaid image": (
        {
            "messages": [
                {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:image/png;,"}}]}
            ]
        },
        "messages",
        "unsupported_parameter",
    ),
    "stream_options without stream": (
        {"stream_options": {"include_usage": True}},
        None,
        "invalid_request",
    ),
    "prompt over the context": (
        {"messages": [{"role": "user", "content": "word " * 100}]},
        "messages",
        "context_length_exceeded",
    ),
}


@pytest.mark.parametrize(("fields", "param", "code"), REFUSED.values(), ids=REFUSED.keys())
async def test_bad_fields_are_400_and_named(ask, fields, param, code) -> None:
    response = await ask(**fields)
    error = response.json()["error"]
    assert response.status_code == 400, error
    assert error["code"] == code
    assert error["param"] == param
    assert error["type"] == "invalid_request_error"
    assert error["message"]


BODIES = {
    "not JSON": b"{",
    "NaN": b'{"model": "echo", "messages": [], "temperature": NaN}',
    "a list": b"[]",
    "nothing": b"",
    "deep nesting": b'{"messages":' + b"[" * 100_000,
    "a lone surrogate": b'{"model": "echo", "messages": [{"role": "user", "content": "\\ud800"}]}',
    "not UTF-8": b'{"model": "\xff"}',
}


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES.keys())
async def test_malformed_bodies_are_400(client, body) -> None:
    response = await client.post("/v1/chat/completions", content=body)
    assert response.status_code == 400
    assert response.json()["error"]["code"] == "invalid_request"


async def test_an_unknown_model_is_404_and_names_those_served(ask) -> None:
    response = await ask(model="gpt-9")
    assert response.status_code == 404
    error = response.json()["error"]
    assert (error["code"], error["param"]) == ("model_not_found", "model")
    assert "echo" in error["message"]


async def test_chat_with_an_embedding_model_says_where_to_go(ask) -> None:
    error = (await ask(model="hash")).json()["error"]
    assert "/v1/embeddings" in error["message"]


async def test_a_body_over_the_limit_is_413(model) -> None:
    app = app_over(model, settings_with(limits={"max_body_bytes": 2048}))
    async with client_of(app) as client:
        declared = await client.post("/v1/chat/completions", content=b"x" * 4096)

        async def drip():
            for _ in range(8):
                yield b"x" * 512

        undeclared = await client.post("/v1/chat/completions", content=drip())
    assert (declared.status_code, undeclared.status_code) == (413, 413)
    assert undeclared.json()["error"]["code"] == "payload_too_large"


async def test_a_failing_engine_is_500_that_clients_may_retry() -> None:
    async with client_of(app_over(await started(fail_every=1))) as client:
        for stream in (False, True):
            body = {"model": "echo", "messages": [MESSAGE], "stream": stream}
            response = await client.post("/v1/chat/completions", json=body)
            assert (response.status_code, response.json()["error"]["code"]) == (500, EngineFailure.code)
            assert "x-should-retry" not in response.headers


async def test_a_stream_that_breaks_ends_with_an_error_event() -> None:
    async with client_of(app_over(await started(fail_after_tokens=2))) as client:
        body = {"model": "echo", "messages": [{"role": "user", "content": "a b c d"}], "stream": True}
        response = await client.post("/v1/chat/completions", json=body)
    events = [event for event in response.text.split("\n\n") if event]
    assert json.loads(events[-1].removeprefix("data: "))["error"]["code"] == "engine_error"
    assert "[DONE]" not in response.text


async def test_a_generation_over_its_time_is_504_and_ends() -> None:
    model = await started(token_delay_s=0.05, tokens=100)
    app = app_over(model, settings_with(limits={"generation_timeout_ms": 120}))
    async with client_of(app) as client:
        body = {"model": "echo", "messages": [MESSAGE], "max_tokens": 60}
        response = await client.post("/v1/chat/completions", json=body)
        assert (response.status_code, response.json()["error"]["code"]) == (504, "generation_timeout")
        assert response.headers["x-should-retry"] == "false"
        streamed = await client.post("/v1/chat/completions", json={**body, "stream": True})
        assert "generation_timeout" in streamed.text
    assert model.engine.running == 0


async def test_unknown_paths_and_methods_answer_in_their_surfaces_shape(client: httpx.AsyncClient) -> None:
    openai, ours = await client.get("/v1/nope"), await client.get("/nope")
    assert openai.json()["error"]["type"] == "invalid_request_error"
    assert set(ours.json()["error"]) == {"code", "message", "hint"}
    wrong = await client.get("/v1/chat/completions")
    assert (wrong.status_code, wrong.json()["error"]["code"]) == (405, "method_not_allowed")


async def test_health_names_each_part_and_turns_503_when_no_model_lives() -> None:
    model = await started(die_after=1)
    async with client_of(app_over(model)) as client:
        well = await client.get("/health")
        assert (well.status_code, well.json()["status"]) == (200, "healthy")
        assert well.json()["services"] == {"backend": "running", "echo": "running", "embedder": "running"}
        await client.post("/v1/chat/completions", json={"model": "echo", "messages": [MESSAGE]})
        ill = await client.get("/health")
        assert (ill.status_code, ill.json()["services"]["echo"]) == (503, "engine_dead")
