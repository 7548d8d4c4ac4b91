"""What is not honoured is refused with 400, and named by the name that the client sent."""

import json

import pytest

from tests.unit.gateway.responses.conftest import PATH

MESSAGE = {"role": "user", "content": "hi"}
PICTURE = {"role": "user", "content": [{"type": "input_image", "image_url": "data:image/png;base64,AAAA"}]}
TOOL = {"type": "function", "name": "f", "parameters": {}}
NAMED = {"type": "function", "name": "g"}
PADDED = {"include_obfuscation": True}
SCHEMA = {"type": "json_schema", "name": "s", "schema": {}}
REFUSED = {
    "no input": ({"input": None}, "input"),
    "an empty list": ({"input": []}, "input"),
    "only reasoning": ({"input": [{"type": "reasoning", "id": "r", "summary": []}]}, "input"),
    "an unknown item": ({"input": [{"type": "web_search_call", "id": "w"}]}, "input[0]"),
    "an unknown role": ({"input": [{"role": "wizard", "content": "hi"}]}, "input[0].role"),
    "an unknown field of an item": ({"input": [{**MESSAGE, "mood": "good"}]}, "input[0].mood"),
    "an unknown part": (
        {"input": [MESSAGE, {"role": "user", "content": [{"type": "input_audio"}]}]},
        "input[1].content[0]",
    ),
    "output text of a user": (
        {"input": [{"role": "user", "content": [{"type": "output_text", "text": "a"}]}]},
        "input[0].content[0]",
    ),
    "a picture as a file": (
        {"input": [{"role": "user", "content": [{"type": "input_image", "file_id": "f"}]}]},
        "input[0].content[0].image_url",
    ),
    "a picture for a model of text": ({"input": [MESSAGE, PICTURE]}, "input"),
    "an output without its call": (
        {"input": [MESSAGE, {"type": "function_call_output", "call_id": "c", "output": ""}]},
        "input[1].call_id",
    ),
    "an unknown parameter": ({"prompt_cache_key": "k"}, "prompt_cache_key"),
    "a conversation": ({"conversation": "conv_1"}, "conversation"),
    "reasoning": ({"reasoning": {"effort": "low"}}, "reasoning"),
    "truncation auto": ({"truncation": "auto"}, "truncation"),
    "another tier": ({"service_tier": "flex"}, "service_tier"),
    "another include": ({"include": ["reasoning.encrypted_content"]}, "include[0]"),
    "top_logprobs alone": ({"top_logprobs": 2}, "top_logprobs"),
    "logprobs of a model without": ({"include": ["message.output_text.logprobs"]}, "include"),
    "a built-in tool": ({"tools": [{"type": "web_search", "search_context_size": "low"}]}, "tools"),
    "tools of a model without": ({"tools": [TOOL]}, "tools"),
    "a choice that is not there": ({"tools": [TOOL], "tool_choice": NAMED}, "tool_choice"),
    "a choice of another kind": ({"tools": [TOOL], "tool_choice": {"type": "mcp"}}, "tool_choice"),
    "a choice of a wizard": ({"tool_choice": "wizard"}, "tool_choice"),
    "a required call of nothing": ({"tool_choice": "required"}, "tool_choice"),
    "a schema of a model without": ({"text": {"format": SCHEMA}}, "text.format"),
    "a schema without a name": ({"text": {"format": {"type": "json_schema", "schema": {}}}}, "text.format.name"),
    "a schema for text": ({"text": {"format": {**SCHEMA, "type": "text"}}}, "text.format.name"),
    "verbosity": ({"text": {"verbosity": "high"}}, "text.verbosity"),
    "stream_options without stream": ({"stream_options": {}}, "stream_options"),
    "padding": ({"stream": True, "stream_options": PADDED}, "stream_options.include_obfuscation"),
    "a background stream": ({"background": True, "stream": True}, "background"),
    "a background response that is not kept": ({"background": True, "store": False}, "store"),
    "no tokens": ({"max_output_tokens": 0}, "max_output_tokens"),
    "temperature 3": ({"temperature": 3}, "temperature"),
    "metadata of numbers": ({"metadata": {"a": 1}}, "metadata.a"),
    "more tokens than fit": ({"max_output_tokens": 100}, "input"),
    "more words than fit": ({"input": "word " * 100}, "input"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
async def test_it_is_refused_and_named(ask, name: str) -> None:
    fields, param = REFUSED[name]
    answer = await ask(**fields)
    assert answer.status_code == 400, answer.text
    error = answer.json()["error"]
    assert error["param"] == param, error
    assert error["type"] == "invalid_request_error"
    assert "messages" not in error["message"]


async def test_what_the_engine_refuses_is_so_before_a_stream_begins(ask) -> None:
    answer = await ask(stream=True, input="word " * 100)
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "input")
    assert answer.json()["error"]["code"] == "context_length_exceeded"


async def test_a_built_in_tool_is_named(ask) -> None:
    error = (await ask(tools=[{"type": "web_search"}])).json()["error"]
    assert "web_search" in error["message"]


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"model": "nope"}, "model"),
        ({"previous_response_id": "resp_nope"}, "previous_response_id"),
        ({"input": [MESSAGE, {"type": "item_reference", "id": "msg_nope"}]}, "input[1].id"),
        ({"input": [{"id": f"msg_{'0' * 48}_0"}]}, "input[0].id"),
    ],
)
async def test_what_is_not_there_is_404_and_named(ask, fields, param) -> None:
    answer = await ask(**fields)
    assert (answer.status_code, answer.json()["error"]["param"]) == (404, param), answer.text


@pytest.mark.parametrize("body", [b"{", b"[]", b"", b'{"model": "\xff"}', b'{"input":' + b"[" * 100_000])
async def test_malformed_bodies_are_400(client, body: bytes) -> None:
    answer = await client.post(PATH, content=body)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "invalid_request")


async def test_odd_numbers_inside_a_schema_are_no_failure(client) -> None:
    for number in ("1e999", "1" * 4000, "-0.0"):
        tool = f'{{"type": "function", "name": "f", "parameters": {{"a": {number}}}}}'
        body = f'{{"model": "echo", "input": "hi", "tools": [{tool}]}}'
        answer = await client.post(PATH, content=body)
        assert answer.status_code == 400, answer.text


async def test_options_of_a_read_that_are_not_honoured_are_refused(ask, client) -> None:
    made = json.loads((await ask()).content)["id"]
    for options in ("stream=true", "include[]=x", "starting_after=3"):
        answer = await client.get(f"{PATH}/{made}?{options}")
        assert (answer.status_code, answer.json()["error"]["param"]) == (400, options.partition("=")[0])
    assert (await client.get(f"{PATH}/{made}?stream=false")).status_code == 200
    answer = await client.get(f"{PATH}/{made}/input_items?before=x")
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "before")
