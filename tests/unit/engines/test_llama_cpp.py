import json
from pathlib import Path
from typing import Any

import pytest

from cluster.engines.completions import Writer
from cluster.engines.factory import chat_engine
from cluster.engines.gguf_header import read_header
from cluster.engines.llama_cpp import LlamaCppEngine
from cluster.engines.llama_cpp_answer import CallReader, ChatReader, TextReader, chat_events, together, whole_chat
from cluster.engines.llama_cpp_load import context_of, planned, threads_for
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
from cluster.errors import (
    BadRequest,
    ContextTooLong,
    EngineDead,
    EngineFailure,
    Overloaded,
    StartFailed,
    UnsupportedParameter,
)
from cluster.settings.engines import GenerationDefaults, LlamaCppSettings
from cluster.settings.models import HubSettings
from cluster.settings.tree import Settings
from tests.unit.engines.gguf_files import tiny, write_gguf

KNOWN = CHAT | TOOLS | {"messages"}
TOOL = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}
ASK = {"messages": [{"role": "user", "content": "hi"}]}


def tool(*, strict: bool = False, **about: Any) -> Any:
    parameters = {"type": "object", "properties": {"pattern": {"type": "string", **about}}}
    return {"type": "function", "function": {"name": "f", "parameters": parameters, "strict": strict}}


def asked(**parameters: Any) -> Any:
    body = json.dumps({**ASK, **parameters}).encode()
    return read_chat(body, KNOWN, plain=PlainText(), options=frozenset({"enable_thinking"}))


def plan(source: Path | str, *, context_length: int | None = None, **engine: Any) -> Any:
    return planned("m", LlamaCppSettings(source=str(source), **engine), HubSettings(), context_length)


# What is to be loaded


def test_a_file_a_folder_of_one_and_a_named_one_are_found(tmp_path: Path) -> None:
    file = tiny(tmp_path / "one.gguf")
    (tmp_path / "mmproj-one.gguf").write_bytes(b"")
    for found in (plan(file), plan(tmp_path), plan(tmp_path, file="one.gguf")):
        assert found.load.path == str(file)
        assert (found.load.context, found.load.sequences, len(found.revision)) == (512, 4, 12)


def test_a_folder_of_several_files_wants_a_name(tmp_path: Path) -> None:
    for name in ("a", "b"):
        tiny(tmp_path / f"{name}.gguf")
    with pytest.raises(StartFailed, match=r"several GGUF files: a\.gguf, b\.gguf"):
        plan(tmp_path)
    assert plan(tmp_path, file="b.gguf").load.path.endswith("b.gguf")
    with pytest.raises(StartFailed, match=r"holds no c\.gguf"):
        plan(tmp_path, file="c.gguf")


def test_the_first_of_several_files_names_a_model(tmp_path: Path) -> None:
    first = tiny(tmp_path / "a-00001-of-00002.gguf")
    second = write_gguf(tmp_path / "a-00002-of-00002.gguf", {"split.no": 1})
    assert plan(tmp_path).load.path == str(first)
    second.write_bytes(b"GGUF")
    with pytest.raises(StartFailed, match="no GGUF file"):
        plan(tmp_path)
    second.unlink()
    with pytest.raises(StartFailed, match=r"a-00002-of-00002\.gguf: No such file"):
        plan(tmp_path)


@pytest.mark.parametrize("source", ["nowhere.gguf", "/no/such/file.gguf", "./models/none.gguf"])
def test_a_missing_file_is_told_when_the_engine_is_built(source: str) -> None:
    model = {"id": "m", "engine": {"kind": "llama_cpp", "source": source}}
    tree = Settings.model_validate({"models": [model]})
    with pytest.raises(StartFailed, match="does not exist"):
        chat_engine(tree.models[0], tree)


def test_an_empty_folder_is_told(tmp_path: Path) -> None:
    with pytest.raises(StartFailed, match="holds no GGUF file"):
        plan(tmp_path)


def test_a_hub_id_needs_a_file_name() -> None:
    model = {"id": "m", "engine": {"kind": "llama_cpp", "source": "owner/name"}}
    tree = Settings.model_validate({"models": [model]})
    with pytest.raises(StartFailed, match="Hub") as caught:
        chat_engine(tree.models[0], tree)
    assert "engine.file" in (caught.value.hint or "")
    model["engine"]["file"] = "x.gguf"  # type: ignore[index]
    tree = Settings.model_validate({"models": [model]})
    assert isinstance(chat_engine(tree.models[0], tree), LlamaCppEngine)
    assert tree.task_of(tree.models[0]) == "chat"


def test_a_hub_file_that_is_not_here_is_told_with_its_command(tmp_path: Path) -> None:
    hub = HubSettings(offline=True, model_path=str(tmp_path))
    for name, pattern in (("x.gguf", "x.gguf"), ("x-00001-of-00003.gguf", "x-*-of-00003.gguf")):
        with pytest.raises(StartFailed) as caught:
            planned("m", LlamaCppSettings(source="owner/name", file=name), hub, None)
        assert f'hf download owner/name --include "{pattern}"' in caught.value.message


def test_a_damaged_file_is_no_model(tmp_path: Path) -> None:
    (tmp_path / "a.gguf").write_bytes(b"<html>404</html>" + bytes(100))
    with pytest.raises(StartFailed, match=r"cannot be loaded from .*a\.gguf: it is no GGUF file"):
        plan(tmp_path / "a.gguf")


def test_the_context_is_the_smaller_of_what_is_wanted_and_what_there_is(tmp_path: Path) -> None:
    file = tiny(tmp_path / "a.gguf")
    assert plan(file, context_length=128).load.context == 128
    assert plan(file, context_length=4096).load.context == 512
    silent = tiny(tmp_path / "b.gguf", llama__context_length=None)
    assert plan(silent, context_length=64).load.context == 64
    with pytest.raises(StartFailed, match="how many tokens"):
        plan(silent)


def test_a_cache_that_does_not_fit_is_told_with_what_does(tmp_path: Path) -> None:
    header, settings = read_header(tiny(tmp_path / "a.gguf")), LlamaCppSettings(source="a.gguf", max_num_seqs=2)
    assert header.cache is not None
    free = 300 * 2 * header.cache
    with pytest.raises(StartFailed, match="KV cache") as caught:
        context_of("m", header, settings, None, free=free)
    assert "up to 300" in (caught.value.hint or "")
    assert context_of("m", header, settings, 300, free=free) == 300
    assert context_of("m", header, settings.model_copy(update={"gpu_layers": -1}), None, free=free) == 512


def test_a_small_model_computes_on_one_thread() -> None:
    assert threads_for(1024**2) == 1
    assert threads_for(1024**3) >= 1


async def test_an_engine_that_was_not_started_says_so(tmp_path: Path) -> None:
    engine = LlamaCppEngine(LlamaCppSettings(source=str(tmp_path)), "m")
    with pytest.raises(EngineDead):
        await engine.check_health()
    await engine.stop()


# What is asked


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


# What is answered


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


def test_a_call_is_forced_by_a_grammar_of_its_marks() -> None:
    grammar = asked(tools=[TOOL], tool_choice="required").call_grammar
    assert 'call: "<tool_call>" BREAK (call_0) "}" BREAK "</tool_call>"' in grammar
    check_grammar(grammar, "tools")
    assert asked(tools=[TOOL]).call_grammar is None


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
