"""`POST /v1/responses`, answered whole."""

import json

import pytest

from tests.unit.engines.pictures import odd, url
from tests.unit.gateway.conftest import started
from tests.unit.gateway.responses.conftest import PATH, Told, checked

TOOL = {"type": "function", "name": "f", "description": "d", "parameters": {"type": "object"}, "strict": False}
ANSWER = {
    "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "fine"}}],
    "usage": {"prompt_tokens": 3, "completion_tokens": 1, "total_tokens": 4},
}


async def test_a_response_answers_with_openais_object(ask) -> None:
    response = checked(await ask(metadata={"a": "b"}, user="u", temperature=0, max_output_tokens=9))
    assert response.id.startswith("resp_")
    assert (response.status, response.output_text, response.model) == ("completed", "one two three", "echo")
    assert response.error is None
    assert response.incomplete_details is None
    assert (response.metadata, response.user, response.temperature) == ({"a": "b"}, "u", 0)
    assert (response.max_output_tokens, response.top_p, response.truncation) == (9, None, "disabled")
    assert (response.tool_choice, response.tools, response.parallel_tool_calls) == ("auto", [], True)
    assert response.usage is not None
    used = response.usage
    assert (used.input_tokens, used.output_tokens, used.total_tokens) == (3, 3, 6)


async def test_an_answer_that_is_cut_is_incomplete_and_says_why(ask) -> None:
    response = checked(await ask(max_output_tokens=2))
    assert (response.status, response.output_text) == ("incomplete", "one two")
    assert response.incomplete_details is not None
    assert response.incomplete_details.reason == "max_output_tokens"
    assert response.output[0].status == "incomplete"


async def test_instructions_and_every_kind_of_item_reach_the_model_as_messages(gateway) -> None:
    model = Told([], ANSWER)
    call = {"type": "function_call", "call_id": "c1", "name": "f", "arguments": "{}"}
    picture = url(odd()["png"])
    items = [
        {"role": "developer", "content": "be brief"},
        {"role": "user", "content": [{"type": "input_text", "text": "look"}]},
        {"role": "user", "content": [
            {"type": "input_text", "text": "at"}, {"type": "input_image", "image_url": picture, "detail": "low"},
        ]},
        {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "x"},
        {"type": "message", "role": "assistant", "id": "msg_1", "status": "completed", "content": [
            {"type": "output_text", "text": "calling", "annotations": [], "logprobs": []}]},
        call,
        {**call, "call_id": "c2", "id": "fc_1", "status": "completed"},
        {"type": "function_call_output", "call_id": "c1", "output": "12"},
        {"type": "function_call_output", "call_id": "c2", "output": [{"type": "input_text", "text": "13"}]},
        {"role": "assistant", "content": [{"type": "refusal", "refusal": "no"}]},
    ]  # fmt: skip
    async with gateway(model) as client:
        checked(await client.post(PATH, json={"model": "echo", "input": items, "instructions": "sing"}))
    function = {"name": "f", "arguments": "{}"}
    assert model.calls[0]["messages"] == [
        {"role": "system", "content": "sing"},
        {"role": "developer", "content": "be brief"},
        {"role": "user", "content": "look"},
        {"role": "user", "content": [
            {"type": "text", "text": "at"}, {"type": "image_url", "image_url": {"url": picture, "detail": "low"}},
        ]},
        {"role": "assistant", "content": "calling", "tool_calls": [
            {"id": "c1", "type": "function", "function": function},
            {"id": "c2", "type": "function", "function": function},
        ]},
        {"role": "tool", "tool_call_id": "c1", "content": "12"},
        {"role": "tool", "tool_call_id": "c2", "content": "13"},
        {"role": "assistant", "content": "no"},
    ]  # fmt: skip


async def test_parameters_reach_the_model_under_chats_names(gateway) -> None:
    model = Told([], ANSWER)
    schema = {"type": "json_schema", "name": "s", "schema": {"type": "object"}, "strict": True}
    body = {
        "model": "echo",
        "input": "hi",
        "tools": [TOOL],
        "tool_choice": {"type": "function", "name": "f"},
        "parallel_tool_calls": False,
        "text": {"format": schema},
        "include": ["message.output_text.logprobs"],
        "top_logprobs": 3,
        "max_output_tokens": 5,
        "top_p": 0.5,
        "truncation": "disabled",
        "service_tier": "auto",
        "reasoning": None,
        "store": False,
    }
    async with gateway(model) as client:
        response = checked(await client.post(PATH, json=body))
    named = {name: value for name, value in TOOL.items() if name != "type"}
    assert model.calls[0] == {
        "model": "echo",
        "messages": [{"role": "user", "content": "hi"}],
        "tools": [{"type": "function", "function": named}],
        "tool_choice": {"type": "function", "function": {"name": "f"}},
        "parallel_tool_calls": False,
        "response_format": {
            "type": "json_schema",
            "json_schema": {"name": "s", "schema": {"type": "object"}, "strict": True},
        },
        "logprobs": True,
        "top_logprobs": 3,
        "max_completion_tokens": 5,
        "top_p": 0.5,
    }
    assert response.tools[0].to_dict() == TOOL
    assert response.text is not None
    assert response.text.format is not None
    assert response.text.format.to_dict() == schema
    assert (response.top_logprobs, response.parallel_tool_calls) == (3, False)


async def test_calls_become_items_and_empty_text_beside_them_none(gateway) -> None:
    calls = [
        {"id": f"c{n}", "type": "function", "function": {"name": "f", "arguments": '{"a": 1}'}} for n in (1, 2)
    ]
    message = {"role": "assistant", "content": None, "tool_calls": calls}
    model = Told([], {**ANSWER, "choices": [{"index": 0, "finish_reason": "tool_calls", "message": message}]})
    async with gateway(model) as client:
        response = checked(await client.post(PATH, json={"model": "echo", "input": "hi", "tools": [TOOL]}))
    assert [item.type for item in response.output] == ["function_call"] * 2
    assert [item.call_id for item in response.output] == ["c1", "c2"]
    assert len({item.id for item in response.output}) == 2
    assert json.loads(response.output[0].arguments) == {"a": 1}
    assert response.status == "completed"


async def test_log_probabilities_come_with_the_text(gateway) -> None:
    token = {"token": "fine", "logprob": -0.5, "bytes": None, "top_logprobs": []}
    other = {"token": "ä", "logprob": -1.5, "bytes": [195, 164]}
    logprobs = {"content": [{**token, "top_logprobs": [other]}]}
    choice = {**ANSWER["choices"][0], "logprobs": logprobs}
    include = ["message.output_text.logprobs"]
    async with gateway(Told([], {**ANSWER, "choices": [choice]})) as client:
        response = checked(await client.post(PATH, json={"model": "echo", "input": "hi", "include": include}))
    (written,) = response.output[0].content[0].logprobs
    assert (written.token, written.bytes, written.logprob) == ("fine", list(b"fine"), -0.5)
    assert written.top_logprobs[0].bytes == [195, 164]


async def test_a_failing_engine_is_an_http_error_and_leaves_nothing_stored(gateway) -> None:
    async with gateway(await started(fail_every=1)) as client:
        for stream in (False, True):
            answer = await client.post(PATH, json={"model": "echo", "input": "hi", "stream": stream})
            assert (answer.status_code, answer.json()["error"]["code"]) == (500, "engine_error")


async def test_a_generation_over_its_time_is_504_and_ends(gateway) -> None:
    model = await started(token_delay_s=0.05, tokens=60)
    async with gateway(model, limits={"generation_timeout_ms": 60}) as client:
        answer = await client.post(PATH, json={"model": "echo", "input": "hi"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (504, "generation_timeout")
    assert model.engine.running == 0


@pytest.mark.parametrize("part", ["none", "auto"])
async def test_a_choice_that_changes_nothing_without_tools_is_taken(ask, part: str) -> None:
    assert checked(await ask(tool_choice=part, parallel_tool_calls=True)).tool_choice == part
