"""Anthropic's requests as OpenAI's."""

import json
from typing import Any

import pytest

from cluster.errors import BadRequest
from deployments.gateway.anthropic.translate import Prompt, chat_body, prompt_of
from deployments.gateway.anthropic.wire import MessagesRequest
from deployments.gateway.parsing import parse
from deployments.gateway.wire import ChatRequest

CALL = {"type": "tool_use", "id": "t1", "name": "weather", "input": {"city": "Vél"}, "caller": {"type": "direct"}}
PICTURE = {"type": "image", "source": {"type": "url", "url": "https://example.com/x.png"}}
SHOWN = {"type": "image_url", "image_url": {"url": "https://example.com/x.png"}}
TOOL = {"name": "weather", "description": "Tells it", "input_schema": {"type": "object"}, "strict": True}


def translated(**fields: Any) -> dict[str, Any]:
    wanted = read(**fields)
    body = chat_body(wanted, prompt_of(wanted))
    parse(ChatRequest, body)  # what goes on is a request that the gateway itself takes
    return json.loads(body)


def read(**fields: Any) -> MessagesRequest:
    messages = [{"role": "user", "content": "hi"}]
    return parse(
        MessagesRequest, json.dumps({"model": "m", "messages": messages, "max_tokens": 5, **fields}).encode()
    )


def said(*messages: tuple[str, Any], **fields: Any) -> list[dict[str, Any]]:
    return translated(messages=[{"role": role, "content": content} for role, content in messages], **fields)[
        "messages"
    ]


def test_only_what_is_given_is_asked_for() -> None:
    asked = translated()
    assert asked == {"model": "m", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 5}


def test_every_parameter_has_its_place() -> None:
    asked = translated(
        stop_sequences=["a", "b"],
        temperature=0.5,
        top_p=0.5,
        top_k=3,
        metadata={"user_id": "u"},
        stream=True,
        tools=[TOOL],
    )
    assert asked["stop"] == ["a", "b"]
    assert (asked["temperature"], asked["top_p"], asked["top_k"], asked["user"]) == (0.5, 0.5, 3, "u")
    assert (asked["stream"], asked["stream_options"]) == (True, {"include_usage": True})
    function = {"name": "weather", "description": "Tells it", "parameters": {"type": "object"}, "strict": True}
    assert asked["tools"] == [{"type": "function", "function": function}]


@pytest.mark.parametrize(
    ("choice", "wanted"),
    [
        ({"type": "auto"}, {"tool_choice": "auto"}),
        ({"type": "any"}, {"tool_choice": "required"}),
        ({"type": "none"}, {"tool_choice": "none"}),
        (
            {"type": "tool", "name": "weather"},
            {"tool_choice": {"type": "function", "function": {"name": "weather"}}},
        ),
        (
            {"type": "any", "disable_parallel_tool_use": True},
            {"tool_choice": "required", "parallel_tool_calls": False},
        ),
    ],
)
def test_a_choice_of_tools_is_openais(choice: dict[str, Any], wanted: dict[str, Any]) -> None:
    asked = translated(tools=[TOOL], tool_choice=choice)
    assert {name: asked[name] for name in ("tool_choice", "parallel_tool_calls") if name in asked} == wanted


def test_a_schema_for_the_answer_is_strict() -> None:
    asked = translated(output_config={"format": {"type": "json_schema", "schema": {"type": "object"}}})
    json_schema = {"name": "answer", "schema": {"type": "object"}, "strict": True}
    assert asked["response_format"] == {"type": "json_schema", "json_schema": json_schema}


def test_the_system_prompt_comes_first() -> None:
    assert said(("user", "hi"), system="be brief")[0] == {"role": "system", "content": "be brief"}
    blocks = [{"type": "text", "text": "be"}]
    assert said(("user", "hi"), ("system", blocks), ("user", "so"))[1] == {"role": "system", "content": blocks}


def test_calls_and_their_results_are_messages_of_their_own() -> None:
    results = [
        {"type": "tool_result", "tool_use_id": "t1", "content": "sunny"},
        {"type": "tool_result", "tool_use_id": "t2", "content": [{"type": "text", "text": "no"}], "is_error": True},
        {"type": "tool_result", "tool_use_id": "t3"},
        {"type": "text", "text": "and?"},
    ]
    calls = [{"type": "text", "text": "I look."}, *({**CALL, "id": name} for name in ("t1", "t2", "t3"))]
    asked = said(("user", "weather?"), ("assistant", calls), ("user", results))
    assert asked[1]["content"] == "I look."
    assert asked[1]["tool_calls"][0] == {
        "id": "t1",
        "type": "function",
        "function": {"name": "weather", "arguments": '{"city": "Vél"}'},
    }
    assert asked[2:] == [
        {"role": "tool", "tool_call_id": "t1", "content": "sunny"},
        {"role": "tool", "tool_call_id": "t2", "content": "Error: no"},
        {"role": "tool", "tool_call_id": "t3", "content": ""},
        {"role": "user", "content": [{"type": "text", "text": "and?"}]},
    ]


def test_a_tools_pictures_follow_its_results() -> None:
    result = {"type": "tool_result", "tool_use_id": "t1", "content": [{"type": "text", "text": "see"}, PICTURE]}
    asked = said(("user", "look"), ("assistant", [CALL]), ("user", [result, {"type": "text", "text": "colour?"}]))
    assert asked[1]["content"] is None
    assert asked[2]["content"] == "see"
    assert asked[3] == {"role": "user", "content": [SHOWN, {"type": "text", "text": "colour?"}]}
    assert said(("user", "look"), ("assistant", [CALL]), ("user", [result]))[3]["content"] == [SHOWN]


def test_a_result_answers_the_message_before() -> None:
    result = {"type": "tool_result", "tool_use_id": "t1", "content": "sunny"}
    with pytest.raises(BadRequest) as caught:
        said(("user", "a"), ("assistant", [CALL]), ("user", [result]), ("assistant", "b"), ("user", [result]))
    assert caught.value.param == "messages[4].content[0].tool_use_id"


def test_an_answer_that_is_begun_is_gone_on_with() -> None:
    messages = [
        {"role": "user", "content": "hi"},
        {"role": "assistant", "content": [{"type": "text", "text": "He"}]},
    ]
    asked = translated(messages=messages)
    assert asked["messages"][-1] == {"role": "assistant", "content": "He"}
    assert (asked["continue_final_message"], asked["add_generation_prompt"]) == (True, False)


@pytest.mark.parametrize("begun", ["He ", [CALL]])
def test_an_answer_cannot_begin_so(begun: Any) -> None:
    with pytest.raises(BadRequest) as caught:
        said(("user", "hi"), ("assistant", begun))
    assert caught.value.param == "messages[1]"


@pytest.mark.parametrize(
    ("told", "param"),
    [
        ("messages[2].content[0].image_url", "messages[1].content[1]"),
        ("messages.2.content.1", "messages[1].content[2]"),
        ("messages.1.content", "messages[0]"),
        ("messages", "messages"),
        ("messages[9]", "messages"),
        ("stop", "stop_sequences"),
        ("top_k", "top_k"),
        ("tools[0].function.parameters", "tools[0].input_schema"),
        ("tools[0].function.name", "tools[0].name"),
        ("response_format", "output_config.format"),
        (None, None),
    ],
)
def test_errors_name_what_the_client_sent(told: str | None, param: str | None) -> None:
    prompt = Prompt()
    prompt.add({}, "system")
    prompt.add({}, "messages[0]")
    prompt.add({}, "messages[1]", ["messages[1].content[1]", "messages[1].content[2]"])
    with pytest.raises(BadRequest) as caught, prompt.blamed():
        raise BadRequest("no", param=told)
    assert caught.value.param == param
