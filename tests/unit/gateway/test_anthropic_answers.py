"""vLLM's answers as Anthropic's: calls of tools, whole and streamed."""

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from anthropic.types import Message, RawMessageStreamEvent
from pydantic import TypeAdapter

from cluster.errors import EngineFailure
from deployments.gateway.anthropic.answer import message
from deployments.gateway.anthropic.events import events

EVENT = TypeAdapter(RawMessageStreamEvent)
CALL = {"id": "t1", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Vél"}'}}
USAGE = {"prompt_tokens": 7, "completion_tokens": 5, "total_tokens": 12}


def answered(reason: str = "tool_calls", **said: Any) -> Message:
    choice = {"index": 0, "message": {"role": "assistant", **said}, "finish_reason": reason, "stop_reason": 2}
    completion = json.dumps({"choices": [choice], "usage": USAGE}).encode()
    return Message.model_validate_json(message(completion, request_id="r", model="m"), strict=True)


def called(arguments: str) -> list[dict[str, Any]]:
    return [{**CALL, "function": {"name": "weather", "arguments": arguments}}]


async def streamed(*deltas: dict[str, Any], together: int = 1, **end: Any) -> list[Any]:
    """The events of a stream with these deltas, `together` of them to an item."""
    choices = [[{"index": 0, "delta": delta}] for delta in deltas]
    choices += [[{"index": 0, "delta": {}, "finish_reason": "stop", **end}], []]
    lines = [b"data: " + json.dumps({"choices": choice}).encode() + b"\n\n" for choice in choices[:-1]]
    lines.append(b"data: " + json.dumps({"choices": [], "usage": USAGE}).encode() + b"\n\n")
    lines.append(b"data: [DONE]\n\n")

    async def items() -> AsyncIterator[bytes]:
        for at in range(0, len(lines), together):
            yield b"".join(lines[at : at + together])

    written = b"".join([item async for item in events(items(), request_id="r", model="m")]).decode()
    found = []
    for one in written.removesuffix("\n\n").split("\n\n"):
        name, _, data = one.partition("\ndata: ")
        assert json.loads(data)["type"] == name.removeprefix("event: ")
        if name != "event: ping":
            found.append(EVENT.validate_json(data))
    return found


def call_delta(index: int = 0, arguments: str = "", **new: Any) -> dict[str, Any]:
    function = {"arguments": arguments} | ({"name": new.pop("name")} if "name" in new else {})
    return {"tool_calls": [{"index": index, "function": function, **new}]}


def test_a_call_has_its_input_parsed() -> None:
    answer = answered(content="\n", tool_calls=[CALL])
    assert [block.type for block in answer.content] == ["tool_use"]
    assert (answer.content[0].id, answer.content[0].name, answer.content[0].input) == (
        "t1",
        "weather",
        {"city": "Vél"},
    )
    assert answer.stop_reason == "tool_use"
    assert (answer.usage.input_tokens, answer.usage.output_tokens) == (7, 5)


def test_text_stands_before_the_calls() -> None:
    answer = answered(content="I look.", tool_calls=[CALL, {**CALL, "id": "t2"}])
    assert [block.type for block in answer.content] == ["text", "tool_use", "tool_use"]


@pytest.mark.parametrize(
    ("reason", "said", "stop"),
    [
        ("stop", {"content": "x"}, "end_turn"),
        ("stop", {"content": None, "tool_calls": [CALL]}, "tool_use"),
        ("length", {"content": "x"}, "max_tokens"),
        ("length", {"content": None, "tool_calls": [CALL]}, "max_tokens"),
        ("content_filter", {"content": ""}, "refusal"),
    ],
)
def test_the_reason_to_stop_is_anthropics(reason: str, said: dict[str, Any], stop: str) -> None:
    answer = answered(reason, **said)
    assert (answer.stop_reason, answer.stop_sequence) == (stop, None)


def test_an_empty_answer_has_no_block() -> None:
    assert answered("stop", content="").content == []
    assert answered("stop", content="\n").content[0].text == "\n"


def test_a_call_that_was_cut_off_has_what_was_written() -> None:
    assert answered("length", tool_calls=called('{"a": 1, "b": [2')).content[0].input == {"a": 1, "b": [2]}
    assert answered("stop", tool_calls=called("")).content[0].input == {}


@pytest.mark.parametrize("arguments", ["[1]", "no", '"x"'])
def test_a_call_without_an_object_is_the_engines_failure(arguments: str) -> None:
    with pytest.raises(EngineFailure):
        answered(tool_calls=called(arguments))


@pytest.mark.parametrize("together", [1, 2, 50])
async def test_streamed_calls_are_blocks_of_json(together: int) -> None:
    found = await streamed(
        {"role": "assistant", "content": ""},
        {"content": "I "},
        {"content": "look."},
        call_delta(id="t1", name="weather"),
        call_delta(arguments='{"city": '),
        call_delta(arguments='"Vél"}'),
        call_delta(1, "{}", id="t2", name="time"),
        finish_reason="tool_calls",
        together=together,
    )
    assert [event.type.removeprefix("content_") for event in found] == [
        "message_start",
        *("block_start", "block_delta", "block_delta", "block_stop"),
        *("block_start", "block_delta", "block_delta", "block_stop"),
        *("block_start", "block_delta", "block_stop"),
        "message_delta",
        "message_stop",
    ]
    assert [event.index for event in found if event.type == "content_block_start"] == [0, 1, 2]
    parts = [
        event.delta.partial_json for event in found if getattr(event, "index", 0) == 1 and hasattr(event, "delta")
    ]
    assert "".join(parts) == '{"city": "Vél"}'
    assert found[-2].delta.stop_reason == "tool_use"
    assert (found[-2].usage.input_tokens, found[-2].usage.output_tokens) == (7, 5)


async def test_white_space_around_a_call_is_no_text() -> None:
    found = await streamed(
        {"content": "\n"}, call_delta(id="t1", name="f", arguments="{}"), {"content": "\n"}, {"content": " "}
    )
    assert [event.content_block.type for event in found if event.type == "content_block_start"] == ["tool_use"]


async def test_leading_white_space_stays_with_its_text() -> None:
    found = await streamed({"content": "\n"}, {"content": "a"}, {"content": " "}, {"content": "b"})
    assert "".join(event.delta.text for event in found if event.type == "content_block_delta") == "\na b"
    alone = await streamed({"content": "\n"})
    assert [event.delta.text for event in alone if event.type == "content_block_delta"] == ["\n"]


async def test_a_stream_without_text_still_ends_well() -> None:
    found = await streamed({"role": "assistant", "content": ""})
    assert [event.type for event in found] == ["message_start", "message_delta", "message_stop"]
