"""What llama.cpp is asked, and what it is not."""

import json
from typing import Any

import pytest

from cluster.engines.llama_cpp_request import (
    CHAT,
    TOOLS,
    check_grammar,
    error_of,
    formatted,
    read_chat,
    read_raw,
    sampled,
)
from cluster.engines.plain_text import PlainText
from cluster.engines.sampling import defaults
from cluster.errors import BadRequest, ContextTooLong, EngineFailure, Overloaded, UnsupportedParameter
from cluster.settings.generation import GenerationDefaults

KNOWN = CHAT | TOOLS | {"messages"}
TOOL = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}
ASK = {"messages": [{"role": "user", "content": "hi"}]}


def tool(*, strict: bool = False, **about: Any) -> Any:
    parameters = {"type": "object", "properties": {"pattern": {"type": "string", **about}}}
    return {"type": "function", "function": {"name": "f", "parameters": parameters, "strict": strict}}


def asked(**parameters: Any) -> Any:
    body = json.dumps({**ASK, **parameters}).encode()
    return read_chat(body, KNOWN, plain=PlainText(), options=frozenset({"enable_thinking"}))


@pytest.mark.parametrize(
    ("wrong", "kind", "param"),
    [
        ({"structured_outputs": {"json": {}}}, UnsupportedParameter, "structured_outputs"),
        ({"min_tokens": 3}, UnsupportedParameter, "min_tokens"),
        ({"stop_token_ids": [3]}, UnsupportedParameter, "stop_token_ids"),
        ({"grammar": "root ::= x"}, UnsupportedParameter, "grammar"),
        ({"n_predict": 5}, UnsupportedParameter, "n_predict"),
        ({"presence_penalty": 3}, BadRequest, "presence_penalty"),
        ({"frequency_penalty": "x"}, BadRequest, "frequency_penalty"),
        ({"logit_bias": {"3": 200}}, BadRequest, "logit_bias.3"),
        ({"logit_bias": [1]}, BadRequest, "logit_bias"),
        ({"top_logprobs": 3}, BadRequest, "top_logprobs"),
        ({"logprobs": True, "top_logprobs": 21}, BadRequest, "top_logprobs"),
        ({"response_format": {"type": "yaml"}}, BadRequest, "response_format.type"),
        ({"response_format": {"type": "json_schema"}}, BadRequest, "response_format.json_schema"),
        ({"tool_choice": "required"}, BadRequest, "tool_choice"),
        (
            {"tools": [TOOL], "tool_choice": {"type": "function", "function": {"name": "x"}}},
            BadRequest,
            "tool_choice",
        ),
        ({"tools": [{"type": "function"}]}, BadRequest, "tools.0.function"),
        ({"tools": [TOOL], "logprobs": True}, UnsupportedParameter, "logprobs"),
        (
            {"tools": [TOOL], "response_format": {"type": "json_object"}},
            UnsupportedParameter,
            "response_format",
        ),
        ({"tools": [tool(pattern="^a")]}, UnsupportedParameter, "tools[0].function.parameters"),
        ({"tools": [tool(oneOf=[{}], strict=True)]}, UnsupportedParameter, "tools[0].function.parameters"),
        ({"tools": [tool(enum=["x" * 9000])]}, BadRequest, "tools[0].function.parameters"),
        ({"chat_template_kwargs": {"colour": 1}}, UnsupportedParameter, "chat_template_kwargs.colour"),
        ({"messages": [{"role": "user", "content": "a", "mood": "x"}]}, UnsupportedParameter, "messages.0.mood"),
    ],
)
def test_what_is_not_honoured_is_refused_by_name(wrong: dict[str, Any], kind: type[BadRequest], param: str) -> None:
    with pytest.raises(kind) as caught:
        asked(**wrong)
    assert caught.value.param == param


def test_a_request_says_all_of_its_sampling() -> None:
    otherwise = defaults(GenerationDefaults(top_k=20), {"temperature": 0.5})
    request = asked(top_p=0.9, seed=2**40, presence_penalty=0.5, logit_bias={"3": -100}).request
    found = sampled(request, otherwise, choice=1, limit=7, context=64, vocabulary=10)
    assert (found["temperature"], found["top_k"], found["top_p"], found["min_p"]) == (0.5, 20, 0.9, 0.0)
    assert (found["repeat_penalty"], found["repeat_last_n"], found["n_predict"]) == (1.0, 64, 7)
    assert (found["presence_penalty"], found["frequency_penalty"]) == (0.5, 0.0)
    assert found["logit_bias"] == [[3, -100.0]]
    assert 0 <= found["seed"] < 2**31
    assert found["seed"] != sampled(request, otherwise, choice=0, limit=7, context=64, vocabulary=10)["seed"]
    assert "seed" not in sampled(asked().request, otherwise, choice=0, limit=7, context=64, vocabulary=10)


@pytest.mark.parametrize("token", ["10", "-1", "x", "1.5", "²"])
def test_a_bias_on_what_is_no_token_is_refused(token: str) -> None:
    request = asked(logit_bias={token: 1}).request
    with pytest.raises(BadRequest) as caught:
        sampled(request, defaults(GenerationDefaults(), {}), choice=0, limit=1, context=8, vocabulary=10)
    assert caught.value.param == "logit_bias"


def test_json_is_a_schema_with_its_spacing() -> None:
    for wanted in ({"type": "json_object"}, {"type": "json_schema", "json_schema": {"name": "x", "schema": {}}}):
        found = formatted(asked(response_format=wanted))["grammar"]
        assert found.startswith("%llguidance {}\nstart: %json {")
        assert "x-guidance" in found
    assert formatted(asked(response_format={"type": "text"})) == {}


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "no such type"},
        {"$ref": "http://example.org/x.json"},
        {"pattern": "(((", "type": "string"},
        {"not": {}},
    ],
)
def test_a_schema_that_cannot_be_followed_is_refused(schema: Any) -> None:
    wanted = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}
    with pytest.raises(BadRequest, match="cannot be followed") as caught:
        check_grammar(asked(response_format=wanted).grammar)
    assert caught.value.param == "response_format"


def test_schemas_that_can_be_followed_pass() -> None:
    check_grammar(asked(response_format={"type": "json_object"}).grammar)
    assert asked(tools=[tool(), tool(oneOf=[{}]), tool(enum=["a"], strict=True)]).constrained == "tools"


def test_log_probabilities_without_alternatives_ask_for_one() -> None:
    assert formatted(asked(logprobs=True)) == {"logprobs": True, "top_logprobs": 1}
    assert formatted(asked(logprobs=True, top_logprobs=4))["top_logprobs"] == 4
    assert formatted(asked(logprobs=False)) == {}


def test_a_named_tool_is_the_only_one_and_required() -> None:
    other = {"type": "function", "function": {"name": "clock"}}
    choice = {"type": "function", "function": {"name": "weather"}}
    said = asked(tools=[other, TOOL], tool_choice=choice).said
    assert [tool["function"]["name"] for tool in said["tools"]] == ["weather"]
    assert (said["tool_choice"], said["parallel_tool_calls"]) == ("required", False)
    free = asked(tools=[other, TOOL]).said
    assert (len(free["tools"]), free["tool_choice"], free["parallel_tool_calls"]) == (2, "auto", True)
    assert "tools" not in asked().said


def test_what_is_null_in_a_message_is_left_out() -> None:
    messages = [
        {"role": "user", "content": [{"type": "text", "text": "a"}], "name": None},
        {"role": "assistant", "content": None, "refusal": "no"},
    ]
    said = asked(messages=messages).said["messages"]
    assert said[0] == {"role": "user", "content": [{"type": "text", "text": "a"}]}
    assert said[1] == {"role": "assistant", "content": "no"}


def test_raw_prompts_have_the_same_sampling() -> None:
    request = read_raw(json.dumps({"prompt": "a", "presence_penalty": 1}).encode())
    assert (request.presence_penalty, request.limit) == (1, 16)
    with pytest.raises(UnsupportedParameter):
        read_raw(json.dumps({"prompt": "a", "logprobs": 2}).encode())


@pytest.mark.parametrize(
    ("info", "more", "kind", "param"),
    [
        ({"code": 400, "type": "exceed_context_size_error", "message": "m"}, {}, ContextTooLong, "messages"),
        ({"code": 400, "message": "failed to parse grammar"}, {"constrained": "tools"}, BadRequest, "tools"),
        ({"code": 500, "message": "roles must alternate"}, {"templated": True}, BadRequest, "messages"),
        ({"code": 500, "message": "boom"}, {}, EngineFailure, None),
        ({"code": 503, "message": "busy"}, {}, Overloaded, None),
        ({"code": 400, "message": "odd"}, {}, BadRequest, None),
        ("nonsense", {}, EngineFailure, None),
    ],
)
def test_llama_cpps_errors_are_ours(
    info: Any, more: dict[str, Any], kind: type[Exception], param: str | None
) -> None:
    found = error_of({"error": info}, **more)
    assert type(found) is kind
    assert found.param == param


def test_a_call_is_forced_by_a_grammar_of_its_marks() -> None:
    grammar = asked(tools=[TOOL], tool_choice="required").call_grammar
    assert 'call: "<tool_call>" BREAK (call_0) "}" BREAK "</tool_call>"' in grammar
    check_grammar(grammar, "tools")
    assert asked(tools=[TOOL]).call_grammar is None
