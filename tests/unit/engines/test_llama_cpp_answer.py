"""What llama.cpp says, in OpenAI's words."""

import json
from typing import Any

import pytest

from cluster.engines.completions import Writer
from cluster.engines.llama_cpp_answer import CallReader, ChatReader, TextReader, chat_events, together, whole_chat
from cluster.errors import EngineFailure


def chunk(text: str | None = None, tokens: int = 0, **choice: Any) -> dict[str, Any]:
    held = {"index": 0, "delta": {} if text is None else {"content": text}, "finish_reason": None, **choice}
    return {"choices": [held], "timings": {"predicted_n": tokens}}


def test_text_is_held_back_while_a_stop_string_may_begin() -> None:
    reader = ChatReader(0, ("END",), top=None, named=False)
    found = [reader.read(each) for each in (chunk("a E", 1), chunk("N", 2), chunk("D b", 3))]
    assert [(piece.text, piece.tokens, piece.finish_reason) for piece in found if piece] == [
        ("a ", 1, None),
        ("", 1, None),
        ("", 1, "stop"),
    ]
    assert found[-1] is not None
    assert found[-1].met == "END"


def test_held_text_comes_with_the_end() -> None:
    reader = ChatReader(0, ("END",), top=None, named=False)
    reader.read(chunk("E", 1))
    last = reader.read(chunk(None, 1, finish_reason="length"))
    assert last is not None
    assert (last.text, last.finish_reason, last.met, last.tokens) == ("E", "length", None, 0)
    assert reader.read({"choices": [], "prompt_progress": {}}) is None


def test_a_named_tools_call_ends_with_stop() -> None:
    for named, reason in ((True, "stop"), (False, "tool_calls")):
        end = ChatReader(0, (), top=None, named=named).read(chunk(finish_reason="tool_calls"))
        assert end is not None
        assert end.finish_reason == reason


def test_figures_are_openais_and_as_many_as_were_asked_for() -> None:
    held = {"id": 3, "token": "a", "bytes": [97], "logprob": -0.5}
    logprobs = {"content": [{**held, "top_logprobs": [held, held]}]}
    for top in (0, 1):
        piece = ChatReader(0, (), top=top, named=False).read(chunk("a", 1, logprobs=logprobs))
        assert piece is not None
        assert piece.figures is not None
        [figure] = piece.figures
        assert (figure["token"], figure["logprob"], len(figure["top_logprobs"])) == ("a", -0.5, top)
        assert "id" not in figure


def test_raw_text_ends_as_llama_cpp_says() -> None:
    for kind, reason in (("limit", "length"), ("eos", "stop")):
        reader = TextReader(1, ())
        reader.read({"content": "a", "stop": False, "tokens_predicted": 1})
        end = reader.read({"content": "", "stop": True, "stop_type": kind, "tokens_predicted": 2})
        assert end is not None
        assert (end.index, end.finish_reason, end.tokens) == (1, reason, 1)


def test_forced_calls_come_whole_at_their_end() -> None:
    said = (
        '<tool_call>{"name": "f", "arguments": {"a": "é}"}}</tool_call>\n<tool_call>{"name": "g", "arguments": {}}'
    )
    for named, reason in ((True, "stop"), (False, "tool_calls")):
        reader = CallReader(0, (), named=named)
        begun = reader.read({"content": said, "stop": False, "tokens_predicted": 9})
        assert begun is not None
        assert (begun.delta, begun.tokens) == ({}, 9)
        end = reader.read({"content": "", "stop": True, "stop_type": "eos", "tokens_predicted": 10})
        assert end is not None
        assert [call["function"] for call in end.calls] == [
            {"name": "f", "arguments": '{"a": "é}"}'},
            {"name": "g", "arguments": "{}"},
        ]
        assert (end.text, end.finish_reason, end.tokens) == ("", reason, 1)


def test_a_forced_call_that_is_cut_off_is_text() -> None:
    reader = CallReader(0, (), named=True)
    reader.read({"content": '<tool_call>{"name": "f", "argu', "stop": False, "tokens_predicted": 9})
    end = reader.read({"content": "", "stop": True, "stop_type": "limit", "tokens_predicted": 9})
    assert end is not None
    assert (end.calls, end.finish_reason) == ((), "length")
    assert end.text.startswith("<tool_call>")


async def pieces(*chunks: dict[str, Any], index: int = 0) -> Any:
    reader = ChatReader(index, (), top=None, named=False)
    for each in chunks:
        piece = reader.read(each)
        if piece is not None:
            yield piece


def writer(**more: Any) -> Writer:
    return Writer(request_id="r", model="m", fingerprint="f", prompt_tokens=3, **more)


async def test_a_tool_call_in_parts_is_one_call() -> None:
    def call(**function: Any) -> dict[str, Any]:
        return chunk(delta={"tool_calls": [{"index": 0, "function": function}]})

    first = chunk(delta={"tool_calls": [{"index": 0, "id": "c", "type": "function", "function": {"name": "f"}}]})
    source = pieces(first, call(arguments='{"a"'), call(arguments=": 1}"), chunk(finish_reason="tool_calls"))
    choice = json.loads(await whole_chat(writer(), 1, source))["choices"][0]
    assert choice["message"]["content"] is None
    [made] = choice["message"]["tool_calls"]
    assert made == {"id": "c", "type": "function", "function": {"name": "f", "arguments": '{"a": 1}'}}


async def test_several_choices_come_as_one_stream_with_usage() -> None:
    sources = [
        pieces(chunk(f"t{index}", 2), chunk(None, 2, finish_reason="stop"), index=index) for index in range(2)
    ]
    lines = [line async for line in chat_events(writer(include_usage=True), 2, together(sources))]
    *events, done = lines
    assert done == b"data: [DONE]\n\n"
    found = [json.loads(event.removeprefix(b"data: ")) for event in events]
    assert [event["choices"][0]["delta"] for event in found[:2]] == [{"role": "assistant", "content": ""}] * 2
    assert found[-1]["usage"]["completion_tokens"] == 4
    assert sorted(event["choices"][0]["index"] for event in found[:-1] if event["choices"][0]["finish_reason"]) == [
        0,
        1,
    ]


async def test_a_choice_that_fails_ends_all() -> None:
    async def broken() -> Any:
        raise EngineFailure("boom")
        yield

    async def endless() -> Any:
        import asyncio

        try:
            await asyncio.Event().wait()
            yield
        finally:
            ended.append(True)

    ended: list[bool] = []
    with pytest.raises(EngineFailure, match="boom"):
        async for _ in together([endless(), broken()]):
            pass
    assert ended == [True]
