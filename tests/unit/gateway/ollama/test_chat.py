"""Ollama's API, asked over HTTP as its clients do, over the scripted engine."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from tests.unit.engines.pictures import encoded, plain
from tests.unit.gateway.conftest import LocalModel, app_over, client_of, started
from tests.unit.waiting import until

HELLO = [{"role": "user", "content": "one two three"}]


async def chat(client: httpx.AsyncClient, **fields: Any) -> httpx.Response:
    return await client.post("/api/chat", json={"model": "echo", "messages": HELLO, **fields})


async def generate(client: httpx.AsyncClient, **fields: Any) -> httpx.Response:
    return await client.post("/api/generate", json={"model": "echo", "prompt": "one two three", **fields})


def lines(answer: httpx.Response) -> list[dict[str, Any]]:
    assert answer.headers["content-type"] == "application/x-ndjson"
    assert answer.text.endswith("\n")
    return [json.loads(line) for line in answer.text.splitlines()]


async def test_a_whole_chat(client) -> None:
    answer = (await chat(client, stream=False)).json()
    assert answer["message"] == {"role": "assistant", "content": "one two three"}
    assert (answer["model"], answer["done"], answer["done_reason"]) == ("echo", True, "stop")
    assert (answer["prompt_eval_count"], answer["eval_count"]) == (3, 3)
    assert answer["total_duration"] > 0
    assert answer["load_duration"] == 0
    assert answer["created_at"].endswith("Z")


async def test_a_chat_streams_where_nothing_is_said_of_it(client) -> None:
    *pieces, last = lines(await chat(client))
    assert [piece["message"]["content"] for piece in pieces] == ["one", " two", " three"]
    assert not any(piece["done"] for piece in pieces)
    assert last["message"] == {"role": "assistant", "content": ""}
    assert (last["done"], last["done_reason"], last["eval_count"]) == (True, "stop", 3)
    assert 0 < last["eval_duration"] + last["prompt_eval_duration"] <= last["total_duration"]


async def test_the_tag_latest_is_the_model_and_is_echoed(client) -> None:
    answer = (await chat(client, model="echo:latest", stream=False)).json()
    assert answer["model"] == "echo:latest"


async def test_the_token_limit_is_told_as_length(client) -> None:
    answer = (await chat(client, stream=False, options={"num_predict": 2})).json()
    assert (answer["message"]["content"], answer["done_reason"]) == ("one two", "length")


@pytest.mark.parametrize("limit", [-1, -2])
async def test_a_negative_limit_is_none(client, limit: int) -> None:
    answer = (await chat(client, stream=False, options={"num_predict": limit, "seed": -1})).json()
    assert answer["done_reason"] == "stop"


async def test_a_generation_reads_system_and_prompt(client) -> None:
    answer = (await generate(client, system="be brief", stream=False)).json()
    assert answer["response"] == "one two three"
    assert answer["prompt_eval_count"] == 5
    *pieces, last = lines(await generate(client))
    assert "".join(piece["response"] for piece in pieces) == "one two three"
    assert (last["response"], last["done"]) == ("", True)


async def test_a_raw_prompt_is_gone_on_with_to_the_end_of_the_context(client) -> None:
    answer = (await generate(client, raw=True, prompt="word " * 20, stream=False)).json()
    assert (answer["eval_count"], answer["done_reason"]) == (20, "stop")  # OpenAI's default would be 16


async def test_a_raw_prompt_with_a_limit_streams(client) -> None:
    *pieces, last = lines(await generate(client, raw=True, options={"num_predict": 2}))
    assert len("".join(piece["response"] for piece in pieces).split()) == 2
    assert (last["eval_count"], last["done_reason"]) == (2, "length")


async def test_pictures_are_seen() -> None:
    image = base64.b64encode(encoded(plain("red", (96, 96)), "PNG")).decode()
    async with client_of(app_over(await started(images=True))) as client:
        asked = [{"role": "user", "content": "what is it?", "images": [image]}]
        answer = (await chat(client, messages=asked, stream=False)).json()
        generated = (await generate(client, images=[image], stream=False)).json()
    assert "[96x96" in answer["message"]["content"]
    assert "[96x96" in generated["response"]


async def test_a_broken_picture_is_named_as_the_client_sent_it() -> None:
    async with client_of(app_over(await started(images=True))) as client:
        asked = [{"role": "user", "content": "what?", "images": ["iVBORw0KGgo="]}]
        answer = await chat(client, messages=asked, stream=False)
        generated = await generate(client, images=["????"], stream=False)
    assert answer.status_code == generated.status_code == 400
    assert answer.json()["error"].startswith("messages[0].images[0]")
    assert generated.json()["error"].startswith("images[0]")


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"options": {"num_gpu": 1}}, "options.num_gpu"),
        ({"options": {"temperature": 3.5}}, "options.temperature"),
        ({"options": {"top_k": 4}}, "options.top_k"),
        ({"options": {"num_ctx": 65}}, "options.num_ctx"),
        ({"options": {"num_predict": 0}}, "options"),
        ({"options": {"mirostat": 1}}, "options.mirostat"),
        ({"think": True}, "think"),
        ({"think": "high"}, "think"),
        ({"truncate": True}, "truncate"),
        ({"keep_alive": "soon"}, "keep_alive"),
        ({"format": "yaml"}, "format"),
        ({"messages": [{"role": "robot", "content": "a"}]}, "messages[0].role"),
        ({"messages": [{"role": "tool", "content": "a", "tool_name": "f"}]}, "messages[0].tool_name"),
        ({"odd": 1}, "odd"),
    ],
)
async def test_what_is_not_honoured_is_refused_by_its_own_name(client, fields: dict[str, Any], named: str) -> None:
    answer = await chat(client, **fields)
    assert answer.status_code == 400
    assert list(answer.json()) == ["error"]
    assert named in answer.json()["error"]


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"suffix": "b"}, "suffix"),
        ({"template": "{{ .Prompt }}"}, "template"),
        ({"context": [1, 2]}, "context"),
        ({"raw": True, "system": "a"}, "system"),
        ({"prompt": "word " * 70}, "prompt"),
    ],
)
async def test_so_is_what_a_generation_does_not_honour(client, fields: dict[str, Any], named: str) -> None:
    answer = await generate(client, **fields)
    assert answer.status_code == 400
    assert answer.json()["error"].startswith(named)


async def test_what_says_what_is_done_anyway_is_taken(client) -> None:
    options = {"num_ctx": 64, "mirostat": 0, "num_thread": None, "repeat_penalty": None, "tfs_z": 1.0}
    answer = await chat(client, stream=False, options=options, think=False, format="", keep_alive="5m")
    assert answer.status_code == 200


async def test_an_unknown_model_is_404(client) -> None:
    answer = await chat(client, model="nobody")
    assert answer.status_code == 404
    assert "'nobody'" in answer.json()["error"]


async def test_an_embedding_model_does_not_chat(client) -> None:
    answer = await chat(client, model="hash")
    assert answer.status_code == 400
    assert "embedding model" in answer.json()["error"]


async def test_broken_json_has_ollamas_shape(client) -> None:
    answer = await client.post("/api/chat", content=b"{")
    assert answer.status_code == 400
    assert isinstance(answer.json()["error"], str)


async def test_a_failure_in_mid_stream_is_a_line() -> None:
    async with client_of(app_over(await started(fail_after_tokens=1))) as client:
        *pieces, last = lines(await chat(client))
    assert pieces[0]["message"]["content"] == "one"
    assert isinstance(last["error"], str)


async def test_nothing_to_say_loads_and_what_stays_is_not_unloaded(client) -> None:
    loaded = (await chat(client, messages=[], stream=False)).json()
    assert (loaded["done"], loaded["done_reason"]) == (True, "load")
    (line,) = lines(await generate(client, prompt=None))
    assert (line["response"], line["done_reason"]) == ("", "load")
    refused = await generate(client, prompt="", keep_alive=0)
    assert refused.status_code == 409
    assert "configuration" in refused.json()["error"]
    assert (await generate(client, model="nobody", prompt="")).status_code == 404


@pytest.mark.parametrize("stream", [False, True])
async def test_a_hang_up_stops_the_generation(stream: bool) -> None:
    model = await started(token_delay_s=0.05, tokens=1000)
    app = app_over(model)
    body = json.dumps({"model": "echo", "messages": HELLO, "stream": stream}).encode()
    sent = [{"type": "http.request", "body": body, "more_body": False}]
    gone, told = asyncio.Event(), b""

    async def receive() -> dict[str, Any]:
        if sent:
            return sent.pop()
        await gone.wait()
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        nonlocal told
        told += message.get("body", b"")

    scope = {"type": "http", "method": "POST", "path": "/api/chat", "headers": [], "query_string": b"", "app": app}
    scope |= {"http_version": "1.1", "asgi": {"version": "3.0", "spec_version": "2.3"}}
    asking = asyncio.create_task(app(scope, receive, send))
    await until(lambda: model.engine.running == 1 and (bool(told) or not stream))
    gone.set()
    await until(lambda: model.engine.running == 0)
    await asyncio.wait({asking})
    assert model.engine.running == 0
    assert b'"done":true' not in told


class Calling(LocalModel):
    """It calls a function, in pieces as engines stream them."""

    def stream(self, call: Any) -> AsyncIterator[bytes]:
        async def events() -> AsyncIterator[bytes]:
            pieces: list[dict[str, Any]] = [
                {"index": 0, "id": "call_1", "type": "function", "function": {"name": "look", "arguments": ""}},
                {"index": 0, "function": {"arguments": '{"city": '}},
                {"index": 0, "function": {"arguments": '"Velmora"}'}},
            ]
            for piece in pieces:
                yield event({"index": 0, "delta": {"tool_calls": [piece]}, "finish_reason": None})
            yield event({"index": 0, "delta": {}, "finish_reason": "tool_calls"})
            yield b"data: [DONE]\n\n"

        return events()


def event(choice: dict[str, Any]) -> bytes:
    return b"data: " + json.dumps({"model": "echo", "choices": [choice]}).encode() + b"\n\n"


async def test_a_streamed_call_comes_whole_in_one_line() -> None:
    model = Calling((await started()).engine)
    async with client_of(app_over(model)) as client:
        call, last = lines(await chat(client))
    assert call["message"]["tool_calls"] == [
        {"id": "call_1", "function": {"index": 0, "name": "look", "arguments": {"city": "Velmora"}}}
    ]
    assert (last["done"], last["done_reason"]) == (True, "stop")
