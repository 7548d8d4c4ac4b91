import json
from typing import Any

import pytest

from deployments.gateway.cache.events import DONE, events_of, finished, whole_of

HEAD = {"id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "m"}
USAGE = {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}
CALLS = [
    {"id": "c1", "type": "function", "function": {"name": "f", "arguments": '{"a":1}'}},
    {"id": "c2", "type": "function", "function": {"name": "g", "arguments": "{}"}},
]
LOGPROBS = {"content": [{"token": "hi", "logprob": -0.5, "bytes": [104, 105], "top_logprobs": []}]}


def choice(index: int = 0, reason: str = "stop", logprobs: Any = None, **message: Any) -> dict[str, Any]:
    said = {"role": "assistant", "content": "hi", "refusal": None, **message}
    return {"index": index, "message": said, "logprobs": logprobs, "finish_reason": reason}


def answer(*choices: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {**HEAD, "choices": list(choices) or [choice()], "usage": USAGE, **fields}


def chunks(events: bytes) -> list[dict[str, Any]]:
    return [json.loads(event.removeprefix(b"data: ")) for event in events.split(b"\n\n")[:-2]]


def event(**fields: Any) -> bytes:
    return b"data: " + json.dumps({**HEAD, "object": "chat.completion.chunk", **fields}).encode() + b"\n\n"


def delta(**fields: Any) -> dict[str, Any]:
    return {"index": 0, "delta": fields, "finish_reason": None}


END = {"index": 0, "delta": {}, "finish_reason": "stop"}

WHOLE = {
    "text": answer(),
    "an empty text": answer(choice(content="")),
    "several choices": answer(choice(0), choice(1, "length", content="ho")),
    "tools": answer(choice(reason="tool_calls", content=None, tool_calls=CALLS)),
    "text and tools": answer(choice(reason="tool_calls", tool_calls=CALLS)),
    "logprobs": answer(choice(logprobs=LOGPROBS)),
    "a stop reason": answer({**choice(), "stop_reason": "END"}),
    "a fingerprint": answer(system_fingerprint="fp"),
    "reasoning": answer(choice(reasoning="because")),
}


@pytest.mark.parametrize("name", WHOLE)
def test_an_answer_comes_back_whole_from_its_events(name: str) -> None:
    events = events_of(WHOLE[name], include_usage=True)
    assert events is not None
    assert whole_of(events) == WHOLE[name]


def test_events_are_role_text_end_and_done() -> None:
    events = events_of(answer(), include_usage=False)
    assert events is not None
    assert events.endswith(DONE)
    said = chunks(events)
    assert [chunk["choices"][0]["delta"] for chunk in said] == [
        {"role": "assistant", "content": ""},
        {"content": "hi"},
        {},
    ]
    assert [chunk["choices"][0]["finish_reason"] for chunk in said] == [None, None, "stop"]
    assert all("usage" not in chunk and chunk["object"] == "chat.completion.chunk" for chunk in said)


def test_usage_comes_last_without_choices_where_it_is_asked_for() -> None:
    events = events_of(answer(), include_usage=True)
    assert events is not None
    *others, last = chunks(events)
    assert (last["choices"], last["usage"]) == ([], USAGE)
    assert all(chunk["usage"] is None for chunk in others)


def test_an_answer_without_usage_cannot_tell_it() -> None:
    assert events_of(answer(usage=None), include_usage=True) is None
    assert events_of(answer(usage=None), include_usage=False) is not None


def test_tokens_of_a_stream_become_one_text() -> None:
    stream = event(choices=[delta(role="assistant", content="")]) + event(choices=[delta(content="one")])
    stream += event(choices=[delta(content=" two")]) + event(choices=[END]) + DONE
    whole = whole_of(stream)
    assert whole is not None
    assert whole["choices"][0]["message"] == {"role": "assistant", "content": "one two", "refusal": None}
    assert whole["usage"] is None


def test_arguments_of_a_tool_grow_piece_by_piece() -> None:
    first = {"index": 0, "id": "c", "type": "function", "function": {"name": "f", "arguments": ""}}
    pieces = [{"index": 0, "function": {"arguments": piece}} for piece in ('{"a":', "1}")]
    stream = b"".join(event(choices=[delta(tool_calls=[piece])]) for piece in (first, *pieces))
    whole = whole_of(stream + event(choices=[{**END, "finish_reason": "tool_calls"}]) + DONE)
    assert whole is not None
    assert whole["choices"][0]["message"]["tool_calls"] == [
        {"id": "c", "type": "function", "function": {"name": "f", "arguments": '{"a":1}'}}
    ]


BROKEN = {
    "no end": event(choices=[delta(content="a")]) + event(choices=[END]),
    "no finish reason": event(choices=[delta(content="a")]) + DONE,
    "an error": event(choices=[delta(content="a")]) + b'data: {"error": {"code": "x"}}\n\n',
    "an error before done": event(choices=[END]) + b'data: {"error": {"code": "x"}}\n\n' + DONE,
    "an abort": event(choices=[{**END, "finish_reason": "abort"}]) + DONE,
    "nothing": b"",
    "only done": DONE,
    "another kind of event": b"event: ping\n\n" + event(choices=[END]) + DONE,
    "an unknown field of a delta": event(choices=[delta(audio={"id": "a"})]) + event(choices=[END]) + DONE,
    "an unknown field of a choice": event(choices=[{**END, "routed": "x"}]) + DONE,
    "an unknown field of a chunk": event(choices=[END], metrics={"a": 1}) + DONE,
    "unknown logprobs": event(choices=[{**END, "logprobs": {"odd": [1]}}]) + DONE,
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_stream_that_is_not_whole_or_not_understood_is_no_answer(name: str) -> None:
    assert whole_of(BROKEN[name]) is None


def test_an_answer_with_unknown_fields_is_not_replayed_as_a_stream() -> None:
    assert events_of(answer(prompt_logprobs=[1]), include_usage=False) is None
    assert events_of(answer(choice(audio={"id": "a"})), include_usage=False) is None
    assert events_of(answer(choice(annotations=[], audio=None)), include_usage=False) is not None


def test_an_answer_that_was_cut_off_is_not_finished() -> None:
    assert finished(answer())
    assert not finished(answer(choice(reason="abort")))
    assert not finished({"choices": []})
