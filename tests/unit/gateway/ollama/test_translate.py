"""Ollama's requests in our words."""

import json
from typing import Any

import pytest

from cluster.errors import BadRequest, EngineFailure
from deployments.gateway.models.use import Use
from deployments.gateway.ollama import errors
from deployments.gateway.ollama.answer import Spent, Writer, chat_shape
from deployments.gateway.ollama.names import bare, tagged
from deployments.gateway.ollama.translate import chat_of, generate_of
from deployments.gateway.ollama.wire import ChatBody, GenerateBody, Options
from deployments.gateway.parsing import parse


def chat(*messages: dict[str, Any], **fields: Any) -> dict[str, Any]:
    body = {"model": "m", "messages": list(messages), **fields}
    return chat_of(parse(ChatBody, json.dumps(body).encode()), "m").body


def calls(*names: str, ids: bool = False) -> dict[str, Any]:
    made = [
        {"function": {"name": name, "arguments": {"a": at}}, **({"id": f"id{at}"} if ids else {})}
        for at, name in enumerate(names)
    ]
    return {"role": "assistant", "content": "", "tool_calls": made}


def answer(text: str, **fields: str) -> dict[str, Any]:
    return {"role": "tool", "content": text, **fields}


def test_answers_of_tools_find_their_calls_by_name_by_id_and_by_order() -> None:
    named = chat(calls("f", "g"), answer("of g", tool_name="g"), answer("of f", tool_name="f"))["messages"]
    first, second = (call["id"] for call in named[0]["tool_calls"])
    assert [message["tool_call_id"] for message in named[1:]] == [second, first]
    by_id = chat(calls("f", "f", ids=True), answer("b", tool_call_id="id1"), answer("a", tool_call_id="id0"))
    assert [message["tool_call_id"] for message in by_id["messages"][1:]] == ["id1", "id0"]
    plain = chat(calls("f", "g"), answer("of f"), answer("of g"))["messages"]
    assert [message["tool_call_id"] for message in plain[1:]] == [call["id"] for call in plain[0]["tool_calls"]]
    assert json.loads(plain[0]["tool_calls"][1]["function"]["arguments"]) == {"a": 1}
    assert plain[0]["content"] is None


@pytest.mark.parametrize(
    "messages",
    [
        [answer("of nothing")],
        [calls("f"), answer("a"), answer("twice")],
        [calls("f"), {"role": "assistant", "content": "no"}, answer("late")],
        [calls("f", ids=True), answer("a", tool_call_id="other")],
    ],
)
def test_an_answer_to_no_call_is_refused(messages: list[dict[str, Any]]) -> None:
    with pytest.raises(BadRequest, match="calls that tool") as refused:
        chat(*messages)
    assert (refused.value.param or "").startswith(f"messages[{len(messages) - 1}].tool_")


def test_options_have_our_names() -> None:
    given = {"repeat_penalty": 1.1, "num_predict": 5, "stop": ["a"], "top_k": 0, "num_ctx": 9}
    body = chat({"role": "user", "content": "a"}, options=given, stream=False)
    assert body | {"messages": None} == {
        "model": "m", "messages": None, "stream": False,
        "repetition_penalty": 1.1, "max_tokens": 5, "stop": ["a"], "top_k": 0,
    }  # fmt: skip
    assert Options.model_validate({"num_thread": None, "seed": 1}).given == {"seed"}


@pytest.mark.parametrize(
    ("given", "ours"),
    [
        ("json", {"type": "json_object"}),
        ({"type": "object"}, {"type": "json_schema", "json_schema": {
            "name": "answer", "schema": {"type": "object"}, "strict": True}}),
        ("", None),
        (None, None),
    ],
)  # fmt: skip
def test_formats(given: Any, ours: Any) -> None:
    assert chat({"role": "user", "content": "a"}, format=given).get("response_format") == ours


def test_a_generation_is_a_message_of_the_user() -> None:
    wanted = GenerateBody.model_validate({"model": "m", "prompt": "p", "system": "s", "images": ["/9j/AAAA"]})
    system, user = generate_of(wanted, "m").body["messages"]
    assert system == {"role": "system", "content": "s"}
    assert user["content"][1]["image_url"]["url"] == "data:image/jpeg;base64,/9j/AAAA"


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ("messages[1].content[2].image_url", "images[1]"),
        ("messages.1", "prompt"),
        ("messages.0.content", "system"),
        ("messages", "prompt"),
        ("max_tokens", "options.num_predict"),
        ("response_format", "format"),
        ("model", "model"),
        (None, None),
    ],
)
def test_errors_name_what_was_sent(ours: str | None, theirs: str | None) -> None:
    body = {"model": "m", "prompt": "p", "system": "s", "images": ["a", "b"]}
    asked = generate_of(GenerateBody.model_validate(body), "m")
    with pytest.raises(BadRequest) as refused, asked.blamed():
        raise BadRequest("no", param=ours)
    assert refused.value.param == theirs


@pytest.mark.parametrize(
    ("name", "plain", "full"),
    [
        ("a", "a", "a:latest"),
        ("a:latest", "a", "a:latest"),
        ("o/a", "o/a", "o/a:latest"),
        ("a:7b", "a:7b", "a:7b"),
        (":latest", ":latest", ":latest"),
    ],
)
def test_tags(name: str, plain: str, full: str) -> None:
    assert bare(name) == plain
    assert tagged(plain) == full
    assert bare("a:latest", {"a:latest"}) == "a:latest"


def completion(**message: Any) -> bytes:
    choice = {"message": {"content": None, **message}, "finish_reason": "tool_calls"}
    return json.dumps({"model": "other", "choices": [choice], "usage": {"prompt_tokens": 2}}).encode()


def written(body: bytes) -> dict[str, Any]:
    clock = iter((1.0, 4.0))
    writer = Writer(chat_shape, Spent(Use(load_s=2.0), lambda: next(clock)), model="m:latest", served="m")
    answer: dict[str, Any] = json.loads(writer.whole(body))
    return answer


def test_a_whole_answer_with_a_call_and_thoughts() -> None:
    function = {"name": "f", "arguments": '{"a": 1}'}
    made = written(completion(tool_calls=[{"id": "c", "function": function}], reasoning="hm"))
    assert made["message"]["tool_calls"][0]["function"] == {"index": 0, "name": "f", "arguments": {"a": 1}}
    assert made["message"]["thinking"] == "hm"
    assert made["model"] == "other"  # which answered in its place
    assert (made["total_duration"], made["load_duration"]) == (3_000_000_000, 2_000_000_000)
    assert "eval_duration" not in made  # nobody measured it
    assert made["done_reason"] == "stop"


def test_a_call_that_is_no_object_is_the_engines_failure() -> None:
    with pytest.raises(EngineFailure, match="no JSON object"):
        written(completion(tool_calls=[{"id": "c", "function": {"name": "f", "arguments": "[1]"}}]))


def test_errors_say_their_parameter_and_hint() -> None:
    error = BadRequest("It is wrong", hint="leave it out", param="options.x")
    assert json.loads(errors.body(error)) == {"error": "options.x: It is wrong. Leave it out."}
    assert errors.line(error).endswith(b"}\n")
