"""Anthropic's Messages API over the scripted engine, asked and read by Anthropic's own client."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import anthropic
import httpx
import httpx2
import pytest
from anthropic.types import Message, TextBlock
from anthropic.types.shared import ErrorResponse
from fastapi import FastAPI

from tests.unit.gateway.conftest import app_over, client_of, settings_with, started
from tests.unit.waiting import until

PATH = "/v1/messages"
ASKED = [{"role": "user", "content": "one two three"}]


def body(**fields: Any) -> dict[str, Any]:
    return {"model": "echo", "messages": ASKED, "max_tokens": 20, **fields}


def official(app: FastAPI) -> anthropic.AsyncAnthropic:
    transport = httpx2.ASGITransport(app, raise_app_exceptions=False)
    http = httpx2.AsyncClient(transport=transport)
    return anthropic.AsyncAnthropic(base_url="http://gateway", api_key="k", max_retries=0, http_client=http)


@pytest.fixture
async def claude(model) -> AsyncIterator[anthropic.AsyncAnthropic]:
    async with official(app_over(model)) as client:
        yield client


@pytest.fixture
async def post(client: httpx.AsyncClient) -> Any:
    async def send(**fields: Any) -> httpx.Response:
        return await client.post(PATH, json=body(**fields))

    return send


async def told(manager: Any) -> Message:
    async with manager as stream:
        return await stream.get_final_message()


async def test_a_message_is_answered(claude) -> None:
    raw = await claude.messages.with_raw_response.create(**body())
    answer = await raw.parse()
    assert answer.content == [TextBlock(type="text", text="one two three")]
    assert (answer.role, answer.type, answer.model) == ("assistant", "message", "echo")
    assert (answer.stop_reason, answer.stop_sequence) == ("end_turn", None)
    assert (answer.usage.input_tokens, answer.usage.output_tokens) == (3, 3)
    assert (answer.usage.cache_read_input_tokens, answer.usage.cache_creation_input_tokens) == (0, 0)
    assert answer.id == f"msg_{raw.headers['request-id']}" == f"msg_{answer._request_id}"


async def test_the_token_limit_is_the_stop_reason(claude) -> None:
    answer = await claude.messages.create(**body(max_tokens=2))
    assert (answer.content[0].text, answer.stop_reason) == ("one two", "max_tokens")


async def test_the_stop_sequence_that_was_met_is_named(claude) -> None:
    asked = body(stop_sequences=["four", " three"])
    answer = await claude.messages.create(**asked)
    assert (answer.content[0].text, answer.stop_reason, answer.stop_sequence) == (
        "one two",
        "stop_sequence",
        " three",
    )
    streamed = await told(claude.messages.stream(**asked))
    assert (streamed.stop_reason, streamed.stop_sequence) == ("stop_sequence", " three")


async def test_system_and_text_blocks_reach_the_model(claude) -> None:
    hint = {"type": "ephemeral", "ttl": "1h"}
    answer = await claude.messages.create(
        **body(
            system=[{"type": "text", "text": "be brief now", "cache_control": hint}],
            messages=[
                {"role": "user", "content": [{"type": "text", "text": "a "}, {"type": "text", "text": "b"}]},
                {"role": "assistant", "content": [{"type": "text", "text": "c", "citations": None}]},
                {"role": "user", "content": [{"type": "text", "text": "d", "cache_control": hint}]},
            ],
            metadata={"user_id": "u"},
            thinking={"type": "disabled"},
            service_tier="auto",
            extra_body={"temperature": 1.0, "top_p": 0.9},  # this client's newest release no longer offers them
        )
    )
    assert answer.content[0].text == "d"
    assert answer.usage.input_tokens == 7


async def test_a_stream_says_the_same_as_a_whole_answer(claude) -> None:
    whole = await claude.messages.create(**body())
    async with claude.messages.stream(**body()) as stream:
        kinds = [event.type async for event in stream]
        streamed = await stream.get_final_message()
    assert [kind for kind in kinds if kind != "text"] == [
        "message_start",
        "content_block_start",
        "content_block_delta",
        "content_block_delta",
        "content_block_delta",
        "content_block_stop",
        "message_delta",
        "message_stop",
    ]
    assert [block.text for block in streamed.content] == [block.text for block in whole.content]
    assert (streamed.stop_reason, streamed.model, streamed.role) == ("end_turn", "echo", "assistant")
    assert (streamed.usage.input_tokens, streamed.usage.output_tokens) == (3, 3)


async def test_a_stream_has_named_events_and_a_ping(post) -> None:
    answer = await post(stream=True)
    assert answer.headers["content-type"].startswith("text/event-stream")
    lines = answer.text.split("\n\n")
    assert [line.partition("\n")[0] for line in lines[:3]] == [
        "event: message_start",
        "event: ping",
        "event: content_block_start",
    ]
    assert lines[-2:] == ['event: message_stop\ndata: {"type":"message_stop"}', ""]


async def test_a_picture_in_base64_reaches_the_model() -> None:
    from tests.unit.engines.pictures import encoded, plain, url

    data = url(encoded(plain("blue"))).partition(",")[2]
    source = {"type": "base64", "media_type": "image/png", "data": data}
    content = [{"type": "image", "source": source}, {"type": "text", "text": "colour?"}]
    async with official(app_over(await started(images=True))) as claude:
        answer = await claude.messages.create(**body(messages=[{"role": "user", "content": content}]))
    assert answer.content[0].text == "[96x96 #0000ff] colour?"


async def test_a_broken_picture_is_blamed_where_it_stood() -> None:
    source = {"type": "base64", "media_type": "image/png", "data": "aGVsbG8="}
    content = [{"type": "text", "text": "colour?"}, {"type": "image", "source": source}]
    messages = [*ASKED, {"role": "assistant", "content": "yes"}, {"role": "user", "content": content}]
    async with client_of(app_over(await started(images=True))) as client:
        answer = await client.post(PATH, json=body(system="s", messages=messages))
    assert answer.status_code == 400
    assert answer.json()["error"]["message"].startswith("messages[2].content[1]: ")


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "no limit": ({"max_tokens": None}, "max_tokens"),
    "a limit of 0": ({"max_tokens": 0}, "max_tokens"),
    "hot": ({"temperature": 1.5}, "temperature"),
    "thinking": ({"thinking": {"type": "enabled", "budget_tokens": 1024}}, "thinking"),
    "a container": ({"container": "c"}, "container"),
    "MCP": ({"mcp_servers": []}, "mcp_servers"),
    "a server tool": ({"tools": [{"type": "web_search_20250305", "name": "web_search"}]}, "tools[0].type"),
    "effort": ({"output_config": {"effort": "low"}}, "output_config.effort"),
    "top_k that the model does not honour": ({"top_k": 4}, "top_k"),
    "tools that the model does not honour": ({"tools": [{"name": "f", "input_schema": {}}]}, "tools"),
    "a choice of nothing": ({"tool_choice": {"type": "any"}}, "tool_choice"),
    "OpenAI's name": ({"stop": ["x"]}, "stop"),
    "no text": ({"messages": [{"role": "user", "content": ""}]}, "messages[0].content"),
    "no block": ({"messages": [{"role": "user", "content": []}]}, "messages[0].content"),
    "a document": (
        {"messages": [{"role": "user", "content": [{"type": "document", "source": {}}]}]},
        "messages[0].content",
    ),
    "a block without text": (
        {"messages": [{"role": "user", "content": [{"type": "text"}]}]},
        "messages[0].content[0].text",
    ),
    "no source": (
        {"messages": [{"role": "user", "content": [{"type": "image", "source": {"type": "base64"}}]}]},
        "messages[0].content[0].source",
    ),
    "a picture that the model does not see": (
        {
            "messages": [
                {
                    "role": "user",
                    "content": [{"type": "image", "source": {"type": "url", "url": "https://192.168.0.1/x.png"}}],
                }
            ]
        },
        "messages",
    ),
    "a result of no call": (
        {"messages": [{"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t"}]}]},
        "messages[0].content[0].tool_use_id",
    ),
    "a prefilled answer": ({"messages": [*ASKED, {"role": "assistant", "content": "("}]}, "messages[1]"),
}


@pytest.mark.parametrize("name", WRONG)
async def test_what_is_not_honoured_is_refused_and_named(post, name: str) -> None:
    fields, param = WRONG[name]
    for stream in (False, True):
        answer = await post(**fields, stream=stream)
        assert answer.status_code == 400, answer.text
        error = ErrorResponse.model_validate(answer.json(), strict=True)
        assert error.error.type == "invalid_request_error"
        assert param in error.error.message
        assert error.request_id == answer.headers["request-id"] == answer.headers["x-request-id"]


async def test_an_unknown_model_is_not_found(claude) -> None:
    with pytest.raises(anthropic.NotFoundError) as caught:
        await claude.messages.create(**body(model="claude"))
    assert caught.value.body["error"]["type"] == "not_found_error"


async def test_errors_of_the_middleware_have_the_envelope_too(model) -> None:
    settings = settings_with(limits={"max_body_bytes": 1024})
    async with official(app_over(model, settings)) as claude:
        with pytest.raises(anthropic.APIStatusError) as caught:
            await claude.messages.create(**body(system="x" * 2000))
    assert caught.value.status_code == 413
    assert caught.value.body["error"]["type"] == "request_too_large"
    assert caught.value.body["request_id"] == caught.value.request_id


async def test_other_paths_and_methods_below_have_the_envelope_too(client) -> None:
    missing, wrong = await client.get(f"{PATH}/batches"), await client.get(PATH)
    assert (missing.status_code, missing.json()["error"]["type"]) == (404, "not_found_error")
    assert (wrong.status_code, wrong.json()["error"]["type"]) == (405, "invalid_request_error")
    assert wrong.headers["allow"] == "POST"


async def test_other_paths_keep_openais_envelope(client) -> None:
    assert "code" in (await client.post("/v1/chat/completions", json={})).json()["error"]
    assert "code" in (await client.get("/v1/messagesx")).json()["error"]


async def test_a_dead_engine_is_overloaded_and_worth_a_retry(client, model) -> None:
    await model.engine.stop()
    answer = await client.post(PATH, json=body())
    assert (answer.status_code, answer.json()["error"]["type"]) == (529, "overloaded_error")
    assert "x-should-retry" not in answer.headers


async def test_a_failure_before_the_first_token_has_its_own_status() -> None:
    async with official(app_over(await started(fail_every=1))) as claude:
        with pytest.raises(anthropic.InternalServerError) as caught:
            await told(claude.messages.stream(**body()))
    assert (caught.value.status_code, caught.value.body["error"]["type"]) == (500, "api_error")


async def test_a_failure_in_a_stream_is_an_error_event() -> None:
    async with official(app_over(await started(fail_after_tokens=2))) as claude:
        with pytest.raises(anthropic.APIStatusError) as caught:
            await told(claude.messages.stream(**body()))
    assert caught.value.body["error"]["type"] == "api_error"


async def test_a_late_answer_is_a_timeout() -> None:
    settings = settings_with(limits={"generation_timeout_ms": 20})
    async with client_of(app_over(await started(first_token_delay_s=5), settings)) as client:
        for stream in (False, True):
            answer = await client.post(PATH, json=body(stream=stream))
            assert (answer.status_code, answer.json()["error"]["type"]) == (504, "timeout_error")
            assert answer.headers["x-should-retry"] == "false"


@pytest.mark.parametrize("stream", [False, True])
async def test_a_hang_up_stops_the_generation(stream: bool) -> None:
    import json

    model = await started(token_delay_s=0.05, tokens=1000)
    app = app_over(model)
    sent = [{"type": "http.request", "body": json.dumps(body(stream=stream)).encode(), "more_body": False}]
    gone = asyncio.Event()
    told = b""

    async def receive() -> dict[str, Any]:
        if sent:
            return sent.pop()
        await gone.wait()
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        nonlocal told
        told += message.get("body", b"")

    scope = {"type": "http", "method": "POST", "path": PATH, "headers": [], "query_string": b"", "app": app}
    scope |= {"http_version": "1.1", "asgi": {"version": "3.0", "spec_version": "2.3"}}
    asking = asyncio.create_task(app(scope, receive, send))
    await until(lambda: model.engine.running == 1)
    gone.set()
    await until(lambda: model.engine.running == 0)
    await asyncio.wait({asking})
    assert model.engine.running == 0
    assert (b"message_start" in told) == stream
    assert b"message_stop" not in told
    assert b"end_turn" not in told, "no answer was brought to its end"


async def test_answers_are_messages_strictly(post) -> None:
    answer = Message.model_validate((await post()).json(), strict=True)
    assert (answer.type, answer.role, answer.stop_reason) == ("message", "assistant", "end_turn")


async def test_the_tokens_counted_are_those_an_answer_reads(claude) -> None:
    asked = {"model": "echo", "messages": ASKED, "system": "be very brief"}
    counted = await claude.messages.count_tokens(**asked)
    answer = await claude.messages.create(**asked, max_tokens=5)
    assert counted.input_tokens == answer.usage.input_tokens == 6


async def test_the_tokens_of_a_picture_are_counted_by_showing_it() -> None:
    from tests.unit.engines.pictures import encoded, plain, url

    source = {"type": "base64", "media_type": "image/png", "data": url(encoded(plain())).partition(",")[2]}
    content = [{"type": "image", "source": source}, {"type": "text", "text": "which colour?"}]
    messages = [{"role": "user", "content": content}]
    async with official(app_over(await started(images=True))) as claude:
        assert (await claude.messages.count_tokens(model="echo", messages=messages)).input_tokens == 4


async def test_a_count_refuses_what_a_message_would(client) -> None:
    for fields, param in (
        ({"messages": []}, "messages"),
        ({"max_tokens": 5}, "max_tokens"),
        ({"system": 5}, "system"),
    ):
        answer = await client.post(f"{PATH}/count_tokens", json={"model": "echo", "messages": ASKED, **fields})
        assert (answer.status_code, answer.json()["type"]) == (400, "error")
        assert param in answer.json()["error"]["message"]
