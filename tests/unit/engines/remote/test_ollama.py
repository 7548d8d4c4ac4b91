"""What Ollama is sent for OpenAI's requests, and what is made of its answers."""

import json
from typing import Any

import pytest

from cluster.engines.remote.ollama_model import OllamaModel, model_of, too_old
from cluster.engines.remote.ollama_request import body_of, sampled
from cluster.errors import BadRequest, ContextTooLong, Overloaded, ProviderRefused, UnsupportedParameter
from cluster.settings.remote import OllamaSettings
from tests.unit.engines.asking import answer, call, events
from tests.unit.engines.pictures import asked, encoded, plain, url
from tests.unit.engines.remote.fake_ollama import DIGEST, REMOTE, FakeOllama
from tests.unit.engines.remote.remotes import ollama_engine
from tests.unit.engines.remote.tiny_server import Request, Response, as_json, serving

TOOL = {"type": "function", "function": {"name": "turn", "description": "turns it", "strict": False}}
HI = [{"role": "user", "content": "hi"}]


def body(known: OllamaModel | None = None, /, choice: int = 0, **given: Any) -> dict[str, Any]:
    settings = OllamaSettings(model=REMOTE, **given.pop("settings", {}))
    wanted = {"messages": HI, **given}
    return body_of(
        wanted,
        sampled(wanted),
        settings=settings,
        known=known or OllamaModel(),
        context_length=512,
        choice=choice,
    )


def test_nothing_said_is_nothing_set_and_no_prompt_is_ever_cut() -> None:
    assert body() == {
        "model": REMOTE,
        "messages": HI,
        "stream": True,
        "truncate": False,
        "shift": False,
        "options": {"num_ctx": 512},
    }


def test_sampling_has_ollamas_names() -> None:
    given = {
        "temperature": 0, "top_p": 0.5, "top_k": -1, "min_p": 0.1, "repetition_penalty": 1.1, "seed": -1,
        "frequency_penalty": 0.2, "presence_penalty": 0.3, "max_completion_tokens": 7, "stop": "x",
    }  # fmt: skip
    assert body(**given)["options"] == {
        "temperature": 0, "top_p": 0.5, "top_k": 0, "min_p": 0.1, "repeat_penalty": 1.1, "seed": 2**31 - 1,
        "frequency_penalty": 0.2, "presence_penalty": 0.3, "num_predict": 7, "stop": ["x"], "num_ctx": 512,
    }  # fmt: skip


def test_choices_of_one_seed_differ_and_repeat() -> None:
    assert [body(seed=3, choice=choice)["options"]["seed"] for choice in (0, 1)] == [3, 4]


def test_the_config_speaks_where_a_request_is_silent() -> None:
    settings = {"options": {"temperature": 0.1, "num_thread": 2, "num_ctx": 9}, "keep_alive": "10m"}
    made = body(settings=settings)
    assert made["options"] == {"temperature": 0.1, "num_thread": 2, "num_ctx": 512}
    assert made["keep_alive"] == "10m"
    assert body(settings=settings, temperature=1)["options"]["temperature"] == 1


def test_a_stop_string_does_not_replace_the_marks_of_turns() -> None:
    assert body(OllamaModel(stops=("<|end|>",)), stop=["x", ""])["options"]["stop"] == ["<|end|>", "x"]
    assert "stop" not in body(OllamaModel(stops=("<|end|>",)))["options"]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"type": "text"}, None),
        ({"type": "json_object"}, "json"),
        ({"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "object"}}}, {"type": "object"}),
    ],
)
def test_formats(given: Any, expected: Any) -> None:
    assert body(response_format=given).get("format") == expected


def test_messages_parts_roles_calls_and_answers_of_tools() -> None:
    call_ = {"id": "c1", "type": "function", "function": {"name": "turn", "arguments": '{"by": 3}'}}
    made = body(
        messages=[
            {"role": "developer", "content": "be brief"},
            {"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]},
            {"role": "assistant", "content": None, "tool_calls": [call_]},
            {"role": "tool", "content": "done", "tool_call_id": "c1"},
        ],
        tools=[TOOL],
        tool_choice="auto",
        parallel_tool_calls=True,
    )
    assert made["messages"] == [
        {"role": "system", "content": "be brief"},
        {"role": "user", "content": "ab"},
        {
            "role": "assistant",
            "content": "",
            "tool_calls": [{"function": {"name": "turn", "arguments": {"by": 3}}}],
        },
        {"role": "tool", "content": "done", "tool_name": "turn"},
    ]
    function = {"name": "turn", "description": "turns it", "parameters": {"type": "object", "properties": {}}}
    assert made["tools"] == [{"type": "function", "function": function}]
    assert "tools" not in body(tools=[TOOL], tool_choice="none")


def test_thinking_is_said_only_to_those_that_can() -> None:
    assert "think" not in body(OllamaModel(capabilities=frozenset({"completion"})))
    thinker = OllamaModel(capabilities=frozenset({"thinking"}))
    assert body(thinker)["think"] is False
    assert body(thinker, settings={"think": "low"})["think"] == "low"


@pytest.mark.parametrize(
    ("wrong", "kind", "param"),
    [
        ({"tool_choice": "required", "tools": [TOOL]}, UnsupportedParameter, "tool_choice"),
        ({"parallel_tool_calls": False, "tools": [TOOL]}, UnsupportedParameter, "parallel_tool_calls"),
        ({"tools": "all"}, BadRequest, "tools"),
        ({"tools": [{}]}, BadRequest, "tools[0]"),
        ({"tools": [{"type": "function", "function": {}}]}, BadRequest, "tools[0]"),
        (
            {"tools": [{"type": "function", "function": {"name": "f", "strict": True}}]},
            UnsupportedParameter,
            "tools[0].function.strict",
        ),
        ({"response_format": {"type": "yaml"}}, BadRequest, "response_format.type"),
        ({"response_format": "json"}, BadRequest, "response_format"),
        ({"response_format": {"type": "json_schema"}}, BadRequest, "response_format.json_schema.schema"),
        ({"max_tokens": 512}, ContextTooLong, "messages"),
        ({"top_logprobs": 99, "logprobs": True}, BadRequest, "top_logprobs"),
        ({"presence_penalty": 3}, BadRequest, "presence_penalty"),
        ({"messages": [{"role": "user", "content": "x", "name": "ada"}]}, UnsupportedParameter, "messages.0.name"),
        ({"messages": [{"role": "user", "content": 3}]}, BadRequest, "messages.0.content"),
        ({"messages": [{"role": "user", "content": [{"type": "text"}]}]}, BadRequest, "messages.0.content.0.text"),
        (
            {"messages": [{"role": "tool", "content": "x", "tool_call_id": "c9"}]},
            BadRequest,
            "messages.0.tool_call_id",
        ),
        (
            {"messages": [{"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": "[1]"}}]}]},
            BadRequest,
            "messages.0.tool_calls.0.function.arguments",
        ),
        ({"messages": [{"role": "assistant", "tool_calls": [{}]}]}, BadRequest, "messages.0.tool_calls.0"),
    ],
)
def test_what_ollama_cannot_do_is_refused_by_name(
    wrong: dict[str, Any], kind: type[BadRequest], param: str
) -> None:
    with pytest.raises(kind) as caught:
        body(**wrong)
    assert caught.value.param == param


async def test_what_it_says_of_a_model_is_what_the_model_can_do() -> None:
    fake = await FakeOllama().start()
    fake.capabilities = ["completion", "vision", "tools"]
    async with serving(fake) as server:
        engine = ollama_engine(server.url)
        await engine.start()
        able = engine.capabilities
        assert (able.context_length, able.images, "tools" in able.parameters) == (2048, True, True)
        assert "logprobs" in able.parameters
        assert engine.revision == DIGEST[:12]
        fake.capabilities, fake.version = ["completion"], "0.12.6"
        await engine._learn()
        able = engine.capabilities
        assert (able.images, "tools" in able.parameters, "logprobs" in able.parameters) == (False, False, False)
        await engine.stop()


@pytest.mark.parametrize(
    ("parameters", "given", "expected"),
    [
        ("num_ctx 512", {}, 512),
        ("num_ctx 512", {"options": {"num_ctx": 1024}}, 1024),
        ("num_ctx 512", {"context_length": 256, "options": {"num_ctx": 1024}}, 256),
        ("", {"context_length": 99_999}, 2048),
        ("num_ctx lots", {}, 2048),
    ],
)
async def test_the_context_is_the_configs_else_the_modelfiles_and_never_more_than_it_was_made_for(
    parameters: str, given: dict[str, Any], expected: int
) -> None:
    fake = await FakeOllama().start()
    fake.parameters = parameters
    async with serving(fake) as server:
        engine = ollama_engine(server.url, **given)
        await engine.start()
        assert engine.capabilities.context_length == expected
        await answer(engine, max_tokens=1)
        assert fake.chatted[-1]["options"]["num_ctx"] == expected
        await engine.stop()


async def test_an_old_server_cuts_prompts_and_is_not_trusted() -> None:
    fake = await FakeOllama().start()
    fake.version = "0.11.4"
    async with serving(fake) as server:
        engine = ollama_engine(server.url)
        await engine.start()
        with pytest.raises(ProviderRefused, match=r"Ollama 0\.11\.4"):
            await engine.check_health()
        await engine.stop()


@pytest.mark.parametrize(
    ("version", "old"), [("0.12.5", True), ("0.12.6", False), ("0.0.0", False), ("1.0.0", False), (None, False)]
)
def test_versions(version: Any, old: bool) -> None:
    assert too_old(version) is old


def test_a_model_of_which_little_is_told() -> None:
    assert model_of({}, {}, None, name="x") == OllamaModel()
    odd = {"parameters": 3, "model_info": 3, "capabilities": 3}
    assert model_of(odd, {"models": 3}, 3, name="x") == OllamaModel()
    tagged = {"models": [{"name": "x:latest", "digest": f"sha256:{DIGEST}"}]}
    assert model_of({}, tagged, None, name="x").digest == DIGEST
    quoted = model_of({"parameters": 'stop    "a \\"b\\""\nstop <x>\n'}, {}, None, name="x")
    assert quoted.stops == ('a "b"', "<x>")


async def test_a_model_that_it_does_not_have_is_told_with_what_to_do() -> None:
    async with serving(await FakeOllama().start()) as server:
        engine = ollama_engine(server.url, model="nobody")
        await engine.start()
        with pytest.raises(ProviderRefused) as caught:
            await engine.chat(call())
        assert caught.value.hint == "`ollama pull nobody` on its machine"
        await engine.stop()


async def test_pictures_are_sent_as_it_wants_them() -> None:
    fake = await FakeOllama().start()
    fake.capabilities = ["completion", "vision"]
    fake.lines = [{"message": {"role": "assistant", "content": "red"}}, {"done": True, "done_reason": "stop"}]
    async with serving(fake) as server:
        engine = ollama_engine(server.url)
        await engine.start()
        found = await answer(engine, messages=asked(url(encoded(plain()))))
        assert found["choices"][0]["message"]["content"] == "red"
        [message] = fake.chatted[-1]["messages"]
        assert message["content"] == "What colour is it?"
        assert message["images"][0].startswith("iVBOR")  # a PNG's, without `data:…,` before it
        await engine.stop()


async def said(lines: list[dict[str, Any]], *, capable: tuple[str, ...] = ("tools", "thinking")) -> tuple[Any, Any]:
    """Ollama's lines as our whole answer, and as our chunks."""
    fake = await FakeOllama().start()
    fake.capabilities, fake.lines = ["completion", *capable], lines
    async with serving(fake) as server:
        engine = ollama_engine(server.url)
        await engine.start()
        whole = await answer(engine)
        chunks = await events(engine, stream_options={"include_usage": True})
        await engine.stop()
    return whole["choices"][0], chunks


async def test_calls_of_tools_and_thoughts_come_as_openai_has_them() -> None:
    made = {"function": {"name": "turn", "arguments": {"by": 3, "unit": "°"}}}
    end = {"message": {"role": "assistant", "content": ""}, "done": True, "done_reason": "stop"}
    choice, chunks = await said(
        [
            {"message": {"role": "assistant", "content": "", "thinking": "hm"}},
            {"message": {"role": "assistant", "content": "", "tool_calls": [made, made]}},
            {**end, "prompt_eval_count": 9, "eval_count": 4},
        ]
    )
    message = choice["message"]
    assert (message["content"], message["reasoning"], choice["finish_reason"]) == (None, "hm", "tool_calls")
    assert [one["id"] for one in message["tool_calls"]] == ["call_call-1_0_0", "call_call-1_0_1"]
    assert json.loads(message["tool_calls"][0]["function"]["arguments"]) == {"by": 3, "unit": "°"}
    deltas = [choice["delta"] for chunk in chunks[:-1] for choice in chunk["choices"]]
    assert deltas[0] == {"role": "assistant", "content": "", "reasoning": "hm"}
    assert [one["index"] for one in deltas[1]["tool_calls"]] == [0, 1]
    assert chunks[-2]["usage"] == {"prompt_tokens": 9, "completion_tokens": 4, "total_tokens": 13}
    assert chunks[-3]["choices"][0]["finish_reason"] == "tool_calls"


async def test_a_model_without_tools_refuses_them_by_name_whoever_notices() -> None:
    fake = await FakeOllama().start()
    fake.capabilities = None  # an older server does not tell
    async with serving(fake) as server:
        engine = ollama_engine(server.url)
        await engine.start()
        with pytest.raises(UnsupportedParameter) as caught:
            await answer(engine, tools=[TOOL])
        assert caught.value.param == "tools"
        await engine.stop()


async def test_a_full_queue_is_one_here() -> None:
    async def busy(request: Request) -> Response:
        busy_ = {"error": "server busy, please try again.  maximum pending requests exceeded"}
        return as_json(busy_, 503) if request.path == "/api/chat" else as_json({"version": "0.40.2"})

    async with serving(busy) as server:
        engine = ollama_engine(server.url)
        await engine.start()
        with pytest.raises(Overloaded):
            await engine.chat(call())
        await engine.check_health()
        await engine.stop()


async def test_n_answers_are_n_requests_at_once_and_one_that_fails_ends_them_all() -> None:
    fake = await FakeOllama().start()
    async with serving(fake) as server:
        engine = ollama_engine(server.url)
        await engine.start()
        found = await answer(engine, n=3, seed=5, temperature=1, max_tokens=4)
        assert [one["options"]["seed"] for one in fake.chatted] == [5, 6, 7]
        assert found["usage"]["completion_tokens"] == 12
        assert found["usage"]["prompt_tokens"] == 14
        fake.lines = [{"message": {"content": 3}}]
        with pytest.raises(Exception, match="no text"):
            await answer(engine, n=3)
        assert engine.running == 0
        await engine.stop()
