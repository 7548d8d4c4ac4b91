"""What the OpenAI-compatible engine sends, and what it makes of answers that differ from OpenAI's own."""

import json
from typing import Any

import pytest

from cluster.engines.remote import facts
from cluster.engines.remote.lines import Events, Lines, written
from cluster.engines.remote.refusals import seconds
from cluster.engines.scripted import ScriptedEngine
from cluster.errors import BadRequest, EngineFailure, ProviderFailure, UnsupportedParameter
from cluster.settings.engines import ScriptedSettings
from cluster.types import CallKind, ChatCall
from tests.unit.engines.asking import PROMPT, answer, call, events, text_of
from tests.unit.engines.pictures import asked, encoded, plain, url
from tests.unit.engines.remote.fake_openai import REMOTE, FakeOpenAI, sse
from tests.unit.engines.remote.remotes import openai_engine
from tests.unit.engines.remote.test_faults import SSE, WHOLE, chunk, provider, started
from tests.unit.engines.remote.tiny_server import Response, as_json, serving


async def sent(parameters: dict[str, Any], **given: Any) -> dict[str, Any]:
    """The body that a request becomes."""
    async with provider(as_json(WHOLE)) as server:
        engine = await started(server, **given)
        try:
            await engine.chat(call(**parameters))
        finally:
            await engine.stop()
        return server.seen[-1].json


async def made_of(*said: Any, **parameters: Any) -> list[Any]:
    """Our events for those of a provider."""
    async with provider(Response(body=sse(*said), media_type=SSE)) as server:
        engine = await started(server)
        try:
            return await events(engine, **parameters)
        finally:
            await engine.stop()


async def test_a_request_passes_through_with_the_models_name_there() -> None:
    tool = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}
    wanted = {"temperature": 0.5, "tools": [tool], "tool_choice": "auto", "reasoning_effort": "low", "stop": ["x"]}
    assert await sent({"model": "spark", **wanted}) == {
        **wanted,
        "messages": [{"role": "user", "content": PROMPT}],
        "model": REMOTE,
        "stream": False,
    }


async def test_labels_stay_here() -> None:
    labels = {"user": "ada", "metadata": {"run": "1"}, "safety_identifier": "x", "store": False}
    assert set(await sent(labels)) == {"messages", "model", "stream"}


async def test_a_limit_gets_the_name_that_the_provider_knows() -> None:
    body = await sent({"max_tokens": 7}, token_limit="max_completion_tokens")
    assert (body.get("max_completion_tokens"), "max_tokens" in body) == (7, False)
    assert (await sent({"max_tokens": 7}))["max_tokens"] == 7


async def test_parameters_beyond_openais_are_the_configs_to_name() -> None:
    with pytest.raises(UnsupportedParameter):
        await sent({"top_k": 4})
    assert (await sent({"top_k": 4}, extra_parameters=("top_k",)))["top_k"] == 4
    with pytest.raises(UnsupportedParameter) as caught:
        await sent({"logit_bias": {"1": 1}}, unsupported_parameters=("logit_bias",))
    assert caught.value.param == "logit_bias"


async def test_headers_and_key_go_with_every_request() -> None:
    async with provider(as_json(WHOLE)) as server:
        azure = openai_engine(
            server.url,
            key="k1",
            base_url=f"{server.url}/v1?api-version=2",
            api_key_header="api-key",
            headers={"OpenAI-Organization": "o"},
        )
        await azure.start()
        await azure.chat(call())
        await azure.stop()
        for request in server.seen:
            assert request.path.endswith("?api-version=2")
            assert (request.headers["api-key"], request.headers["openai-organization"]) == ("k1", "o")
            assert request.headers["accept-encoding"] == "identity"
            assert "authorization" not in request.headers


async def test_a_raw_prompt_is_refused() -> None:
    engine = openai_engine("http://127.0.0.1:1")
    await engine.start()
    with pytest.raises(UnsupportedParameter) as caught:
        await engine.chat(ChatCall(body=b'{"prompt": "x"}', request_id="r", kind=CallKind.COMPLETION))
    assert caught.value.param == "prompt"
    with pytest.raises(BadRequest) as wrong:
        await answer(engine, top_logprobs=2)
    assert wrong.value.param == "top_logprobs"
    await engine.stop()


async def test_pictures_are_read_here_and_sent_on() -> None:
    engine = ScriptedEngine(ScriptedSettings(images=True), REMOTE, 2048)
    async with serving(await FakeOpenAI(engine).start()) as server:
        remote = openai_engine(server.url, images=True)
        await remote.start()
        found = await answer(remote, messages=asked(url(encoded(plain()))))
        assert found["choices"][0]["message"]["content"] == "[96x96 #ff0000] What colour is it?"
        with pytest.raises(BadRequest) as caught:
            await answer(remote, messages=asked("file:///etc/passwd"))
        assert caught.value.param == "messages[0].content[0].image_url"
        await remote.stop()


async def test_a_failure_of_its_engine_in_mid_stream_is_one_here() -> None:
    engine = ScriptedEngine(ScriptedSettings(fail_after_tokens=3), REMOTE, 2048)
    async with serving(await FakeOpenAI(engine).start()) as server:
        remote = await started(server)
        stream = remote.stream(call(stream=True))
        found = [await anext(stream) for _ in range(4)]
        assert len(found) == 4
        with pytest.raises(EngineFailure):
            await anext(stream)
        await remote.stop()


async def test_chunks_get_our_names_and_a_role_and_lose_what_nobody_asked_for() -> None:
    usage = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 9}
    said = (
        {"choices": [], "prompt_filter_results": []},
        chunk("su", created="yesterday", model="gpt-9", usage=usage, x_groq={"id": 1}),
        chunk("n", created=1_700_000_000),
        chunk(None, "stop"),
        "[DONE]",
    )
    first, second, last, done = await made_of(*said)
    assert (first["id"], first["model"], first["object"]) == ("chatcmpl-call-1", "spark", "chat.completion.chunk")
    assert first["choices"][0]["delta"] == {"content": "su", "role": "assistant"}
    assert "usage" not in first
    assert first["created"] > 1_700_000_000
    assert second["created"] == 1_700_000_000
    assert last["choices"][0]["finish_reason"] == "stop"
    assert done == "[DONE]"
    *_, counts, _ = await made_of(*said, stream_options={"include_usage": True})
    assert (counts["choices"], counts["usage"]["total_tokens"]) == ([], 5)  # the sum is made sure of


async def test_an_ended_stream_without_done_is_whole_and_gets_it() -> None:
    assert (await made_of(chunk(), chunk(None, "stop")))[-1] == "[DONE]"


async def test_what_comes_after_done_is_nobodys() -> None:
    found = await made_of(chunk("sun", "stop"), "[DONE]", chunk("moon"))
    assert text_of(found) == "sun"


async def test_one_choice_that_never_ends_is_a_failure() -> None:
    with pytest.raises(ProviderFailure, match="was done before it was"):
        await made_of(chunk("sun", "stop"), "[DONE]", n=2)


async def test_log_probabilities_that_a_provider_ignores_are_refused_by_name() -> None:
    with pytest.raises(UnsupportedParameter) as caught:
        await sent({"logprobs": True})
    assert caught.value.param == "logprobs"
    with pytest.raises(UnsupportedParameter):
        await made_of(chunk("sun", "stop"), "[DONE]", logprobs=True)
    told = chunk("sun", "stop")
    told["choices"][0]["logprobs"] = {
        "content": [{"token": "sun", "logprob": -1.0, "bytes": None, "top_logprobs": []}]
    }
    assert text_of(await made_of(told, "[DONE]", logprobs=True)) == "sun"


async def test_tool_calls_pass_through_piece_by_piece() -> None:
    calls = [{"index": 0, "id": "c1", "type": "function", "function": {"name": "f", "arguments": ""}}]
    more = [{"index": 0, "function": {"arguments": "{}"}}]
    said = [{"choices": [{"index": 0, "delta": {"tool_calls": each}}]} for each in (calls, more)]
    found = await made_of(*said, chunk(None, "tool_calls"), "[DONE]")
    assert [one["choices"][0]["delta"].get("tool_calls") for one in found[:2]] == [calls, more]


async def test_a_character_that_comes_in_two_halves_breaks_nothing() -> None:
    halves = sse(
        '{"choices": [{"index": 0, "delta": {"content": "\\ud83d"}}]}',
        '{"choices": [{"index": 0, "delta": {"content": "\\ude80"}, "finish_reason": "stop"}]}',
        "[DONE]",
    )
    async with provider(Response(body=halves, media_type=SSE)) as server:
        engine = await started(server)
        found = await events(engine)
        await engine.stop()
    assert text_of(found).encode("utf-16", "surrogatepass").decode("utf-16") == "🚀"


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
def test_events_are_the_same_wherever_their_bytes_are_cut(size: int) -> None:
    stream = ': hi\r\nevent: x\r\ndata: {"a": "ü\\n"}\r\n\r\ndata:b\ndata: c\n\n\n\ndata: [DONE]'.encode()
    parser = Events("x")
    found = [data for at in range(0, len(stream), size) for data in parser.feed(stream[at : at + size])]
    assert [*found, *parser.rest()] == ['{"a": "ü\\n"}'.encode(), b"b\nc", b"[DONE]"]


def test_a_line_is_bounded_whether_it_ends_or_not() -> None:
    for chunk_ in (b"12345\n", b"12345"):
        with pytest.raises(ProviderFailure):
            Lines("x", limit=4).feed(chunk_)
    assert Lines("x", limit=4).feed(b"1234\n12") == [b"1234"]


def test_a_lone_surrogate_is_written_as_json_can() -> None:
    assert json.loads(written({"a": "ü\ud83d"})) == {"a": "ü\ud83d"}
    assert written({"a": "ü"}) == '{"a":"ü"}'.encode()


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        ({"max_model_len": 4096}, (4096, None, None)),
        ({"max_model_len": 2048, "capabilities": ["chat", "vision"]}, (2048, True, False)),
        ({"context_window": 131072}, (131072, None, None)),
        (
            {
                "context_length": 8192,
                "architecture": {"input_modalities": ["text", "image"]},
                "supported_parameters": ["tools", "seed"],
            },
            (8192, True, True),
        ),
        (
            {"max_context_length": 32768, "capabilities": {"vision": False, "function_calling": True}},
            (32768, False, True),
        ),
        ({"max_model_len": "many", "context_length": -1}, (None, None, None)),
        ({"capabilities": 3, "architecture": 3, "supported_parameters": 3}, (None, None, None)),
    ],
)
def test_a_list_of_models_tells_what_each_provider_tells(entry: dict[str, Any], expected: tuple[Any, ...]) -> None:
    found = facts.of_listed({"data": [3, {"id": "other"}, {"id": "m", **entry}]}, "m")
    assert (found.context_length, found.images, found.tools) == expected


@pytest.mark.parametrize("data", [None, [], {}, {"data": 3}, {"data": [{"id": "other", "max_model_len": 4096}]}])
def test_a_list_without_the_model_tells_nothing(data: Any) -> None:
    assert facts.of_listed(data, "m") == facts.Facts()


async def test_the_config_wins_over_what_is_listed() -> None:
    async with serving(await FakeOpenAI().start()) as server:
        for given, expected in (({}, (2048, False)), ({"context_length": 99, "images": True}, (99, True))):
            engine = openai_engine(server.url, **given)
            await engine.start()
            able = engine.capabilities
            assert (able.context_length, able.images) == expected
            await engine.stop()


@pytest.mark.parametrize("status", [403, 404, 405])
async def test_a_provider_without_a_list_is_there_all_the_same(status: int) -> None:
    async def bare(request: Any) -> Response:
        return as_json({"error": "no such path"}, status) if request.method == "GET" else as_json(WHOLE)

    async with serving(bare) as server:
        engine = openai_engine(server.url)
        await engine.start()
        await engine.check_health()
        assert engine.capabilities.context_length == facts.ASSUMED_CONTEXT
        assert not engine.capabilities.images
        assert await answer(engine)
        await engine.stop()


@pytest.mark.parametrize(("text", "expected"), [("3", 3.0), ("20ms", 0.02), ("", None), (None, None), ("-1", None)])
def test_a_wait_is_read(text: str | None, expected: float | None) -> None:
    assert seconds(text) == expected


async def test_what_a_request_leaves_open_the_config_says() -> None:
    defaults = {"temperature": 0.2, "top_k": 5}
    given = {"generation": defaults, "extra_parameters": ["top_k"]}
    silent = await sent({}, **given)
    assert {name: silent[name] for name in defaults} == defaults
    spoken = await sent({"temperature": 1.0, "top_k": 9}, **given)
    assert (spoken["temperature"], spoken["top_k"]) == (1.0, 9)


def test_other_defaults_are_another_revision_as_their_answers_may_be_kept() -> None:
    plain_one, other = openai_engine("http://x"), openai_engine("http://x", generation={"temperature": 0.2})
    assert plain_one.revision != other.revision
