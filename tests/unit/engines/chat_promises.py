"""What every chat engine promises: the suite that each one passes, at the level where it can run.

A subclass provides the fixture `engine`, started. `LONG` is a prompt over any tested engine's context.
"""

import asyncio
import json
import time
from typing import Any

import pytest

from cluster.engines.protocol import ChatEngine
from cluster.errors import BadRequest, ContextTooLong, EngineDead, UnsupportedParameter
from cluster.types import ChatCall, Priority, Task, TokenizeCall
from tests.unit.engines.asking import PROMPT, SOON_S, answer, begun, call, events, idle, text_of


async def says_or_refuses(engine: ChatEngine, name: str, **parameters: Any) -> dict[str, Any] | None:
    """The first choice; None where the engine refuses the parameter by name, as it may."""
    try:
        found: dict[str, Any] = (await answer(engine, **parameters))["choices"][0]
    except UnsupportedParameter as error:
        refused = (error.param or "").split(".")[0].split("[")[0]
    else:
        assert name in engine.capabilities.parameters
        return found
    assert refused == name
    return None


class ChatPromises:
    """Inherit, and provide `engine`. counts_first: whether it knows how long a prompt is before it begins."""

    counts_first = True

    async def test_a_whole_answer_is_a_chat_completion(self, engine: ChatEngine) -> None:
        found = await answer(engine, temperature=0, max_tokens=8)
        assert found["id"] == "chatcmpl-call-1"
        assert found["object"] == "chat.completion"
        assert abs(found["created"] - time.time()) < 60
        assert found["model"] == "spark"
        [choice] = found["choices"]
        assert choice["index"] == 0
        assert choice["message"]["role"] == "assistant"
        assert choice["message"]["content"]
        assert choice["finish_reason"] in {"stop", "length"}

    async def test_usage_adds_up(self, engine: ChatEngine) -> None:
        usage = (await answer(engine, temperature=0, max_tokens=8))["usage"]
        assert usage["prompt_tokens"] > 0
        assert 1 <= usage["completion_tokens"] <= 8
        assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]

    async def test_a_stream_opens_with_the_role_and_ends_with_a_reason_and_done(self, engine: ChatEngine) -> None:
        *chunks, done = await events(engine, temperature=0, max_tokens=8)
        assert done == "[DONE]"
        assert {chunk["id"] for chunk in chunks} == {"chatcmpl-call-1"}
        assert {chunk["object"] for chunk in chunks} == {"chat.completion.chunk"}
        assert {chunk["model"] for chunk in chunks} == {"spark"}
        assert chunks[0]["choices"][0]["delta"]["role"] == "assistant"
        assert [chunk["choices"][0]["finish_reason"] for chunk in chunks[:-1]] == [None] * (len(chunks) - 1)
        assert chunks[-1]["choices"][0]["finish_reason"] in {"stop", "length"}

    async def test_a_stream_says_what_the_whole_answer_says_at_temperature_0(self, engine: ChatEngine) -> None:
        whole = await answer(engine, temperature=0, max_tokens=24)
        chunks = await events(engine, temperature=0, max_tokens=24)
        assert text_of(chunks) == whole["choices"][0]["message"]["content"]

    async def test_a_stream_ends_with_usage_when_asked(self, engine: ChatEngine) -> None:
        *_, last, done = await events(engine, temperature=0, max_tokens=8, stream_options={"include_usage": True})
        assert done == "[DONE]"
        assert last["choices"] == []
        assert last["usage"]["completion_tokens"] <= 8
        assert last["usage"] == {
            **last["usage"],
            "total_tokens": last["usage"]["prompt_tokens"] + last["usage"]["completion_tokens"],
        }

    async def test_a_stream_carries_no_usage_unasked(self, engine: ChatEngine) -> None:
        chunks = await events(engine, temperature=0, max_tokens=4)
        assert not [chunk for chunk in chunks if chunk != "[DONE]" and chunk.get("usage")]

    @pytest.mark.parametrize("name", ["max_tokens", "max_completion_tokens"])
    async def test_a_limit_of_tokens_ends_the_answer_for_length(self, engine: ChatEngine, name: str) -> None:
        found = await answer(engine, temperature=0, **{name: 2})
        assert found["usage"]["completion_tokens"] == 2
        assert found["choices"][0]["finish_reason"] == "length"

    async def test_a_stop_string_ends_the_answer_before_itself(self, engine: ChatEngine) -> None:
        whole = (await answer(engine, temperature=0, max_tokens=16))["choices"][0]["message"]["content"]
        stop = whole[2:5]
        found = (await answer(engine, temperature=0, max_tokens=16, stop=[stop]))["choices"][0]
        assert found["message"]["content"] == whole[: whole.index(stop)]
        assert found["finish_reason"] == "stop"

    async def test_a_stop_string_is_kept_out_of_a_stream_too(self, engine: ChatEngine) -> None:
        whole = text_of(await events(engine, temperature=0, max_tokens=16))
        stop = whole[2:5]
        assert text_of(await events(engine, temperature=0, max_tokens=16, stop=stop)) == whole[: whole.index(stop)]

    async def test_every_object_is_openais(self, engine: ChatEngine) -> None:
        from openai.types.chat import ChatCompletion, ChatCompletionChunk

        found = await answer(engine, temperature=0, max_tokens=8, n=2)
        assert len(ChatCompletion.model_validate(found, strict=True).choices) == 2
        wanted = {"stream_options": {"include_usage": True}, "max_tokens": 8, "n": 2}
        chunks = (await events(engine, **wanted))[:-1]
        read = [ChatCompletionChunk.model_validate(chunk, strict=True) for chunk in chunks]
        assert {choice.index for chunk in read for choice in chunk.choices} == {0, 1}
        assert read[-1].usage is not None

    async def test_done_comes_once_and_last(self, engine: ChatEngine) -> None:
        chunks = await events(engine, temperature=0, max_tokens=8, n=2)
        assert [at for at, chunk in enumerate(chunks) if chunk == "[DONE]"] == [len(chunks) - 1]

    async def test_characters_of_several_bytes_stay_whole(self, engine: ChatEngine) -> None:
        text = "Grüße, 世界 👩‍🚀 ☀️ naïve Ωμέγα"
        whole = (await answer(engine, text=text, temperature=0, max_tokens=12))["choices"][0]["message"]["content"]
        chunks = await events(engine, text=text, temperature=0, max_tokens=12)
        assert text_of(chunks) == whole
        assert "\ufffd" not in whole.removesuffix("\ufffd")  # a limit may cut one at the end

    async def test_temperature_0_repeats_an_answer(self, engine: ChatEngine) -> None:
        first, second = [await answer(engine, temperature=0, max_tokens=12) for _ in range(2)]
        assert first["choices"] == second["choices"]

    async def test_streams_at_once_do_not_mix(self, engine: ChatEngine) -> None:
        texts = ["one two three four five six", "red green blue yellow white black"]
        alone = [text_of(await events(engine, text=text, temperature=0, max_tokens=8)) for text in texts]
        together = await asyncio.gather(
            *(events(engine, text=text, temperature=0, max_tokens=8) for text in texts * 2)
        )
        assert [text_of(chunks) for chunks in together] == alone * 2

    async def test_logprobs_are_given_or_refused(self, engine: ChatEngine) -> None:
        wanted = {"temperature": 0, "max_tokens": 3, "logprobs": True, "top_logprobs": 2}
        choice = await says_or_refuses(engine, "logprobs", **wanted)
        if choice is not None:
            tokens = choice["logprobs"]["content"]
            assert len(tokens) == 3
            assert "".join(token["token"] for token in tokens) == choice["message"]["content"]
            assert all(token["logprob"] <= 0 and len(token["top_logprobs"]) == 2 for token in tokens)

    async def test_json_is_given_or_refused(self, engine: ChatEngine) -> None:
        schema = {
            "type": "object",
            "properties": {"ok": {"type": "boolean"}},
            "required": ["ok"],
            "additionalProperties": False,
        }
        wanted = {"type": "json_schema", "json_schema": {"name": "reply", "schema": schema}}
        choice = await says_or_refuses(
            engine, "response_format", temperature=0, max_tokens=64, response_format=wanted
        )
        if choice is not None:
            assert isinstance(json.loads(choice["message"]["content"])["ok"], bool)

    async def test_tools_are_taken_or_refused(self, engine: ChatEngine) -> None:
        tool = {
            "type": "function",
            "function": {"name": "shine", "parameters": {"type": "object", "properties": {}}},
        }
        choice = await says_or_refuses(engine, "tools", temperature=0, max_tokens=32, tools=[tool])
        if choice is not None:
            calls = choice["message"].get("tool_calls") or []
            assert choice["message"]["content"] or calls
            assert all(json.loads(call["function"]["arguments"]) is not None for call in calls)

    async def test_n_answers_are_n_choices(self, engine: ChatEngine) -> None:
        found = await answer(engine, n=3, seed=1, temperature=1, max_tokens=6)
        assert sorted(choice["index"] for choice in found["choices"]) == [0, 1, 2]
        assert all(choice["finish_reason"] for choice in found["choices"])

    async def test_n_streams_come_as_one(self, engine: ChatEngine) -> None:
        chunks = await events(engine, n=2, seed=1, temperature=1, max_tokens=6)
        assert text_of(chunks, 0)
        assert text_of(chunks, 1)
        choices = [choice for chunk in chunks if chunk != "[DONE]" for choice in chunk["choices"]]
        assert sorted(choice["index"] for choice in choices if choice["finish_reason"]) == [0, 1]

    async def test_a_seed_repeats_an_answer(self, engine: ChatEngine) -> None:
        first, second = [await answer(engine, seed=7, temperature=1, max_tokens=12) for _ in range(2)]
        assert first["choices"][0]["message"] == second["choices"][0]["message"]

    async def test_another_seed_gives_another_answer(self, engine: ChatEngine) -> None:
        found = [await answer(engine, seed=seed, temperature=1.5, max_tokens=16) for seed in range(4)]
        assert len({each["choices"][0]["message"]["content"] for each in found}) > 1

    async def test_labels_are_accepted(self, engine: ChatEngine) -> None:
        assert await answer(engine, max_tokens=2, user="ada", metadata={"run": "1"})

    async def test_null_is_as_good_as_left_out(self, engine: ChatEngine) -> None:
        assert await answer(engine, max_tokens=2, stop=None, seed=None, tools=None, logit_bias=None)

    async def test_content_may_come_in_parts(self, engine: ChatEngine) -> None:
        message = {"role": "user", "content": [{"type": "text", "text": PROMPT}]}
        parts = await answer(engine, temperature=0, max_tokens=8, messages=[message])
        assert parts["choices"] == (await answer(engine, temperature=0, max_tokens=8))["choices"]

    async def test_background_calls_are_answered(self, engine: ChatEngine) -> None:
        assert await engine.chat(call(priority=Priority.BACKGROUND, max_tokens=2))

    async def test_cancelling_a_whole_answer_frees_its_slot(self, engine: Any) -> None:
        task = asyncio.create_task(engine.chat(call("word " * 900, max_tokens=900)))
        await begun(engine)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await idle(engine)

    async def test_closing_a_stream_frees_its_slot(self, engine: Any) -> None:
        stream = engine.stream(call("word " * 900, stream=True, max_tokens=900))
        await anext(stream)
        await anext(stream)
        assert engine.running == 1
        await stream.aclose()
        await idle(engine)

    async def test_after_a_stream_that_was_left_the_next_call_is_answered_at_once(self, engine: Any) -> None:
        stream = engine.stream(call("word " * 900, stream=True, max_tokens=900))
        await anext(stream)
        await stream.aclose()
        start = time.perf_counter()
        assert await answer(engine, max_tokens=1)
        assert time.perf_counter() - start < SOON_S

    async def test_cancelling_the_reader_of_a_stream_frees_its_slot(self, engine: Any) -> None:
        task = asyncio.create_task(events(engine, text="word " * 900, max_tokens=900))
        await begun(engine)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await idle(engine)

    async def test_health_is_quick(self, engine: ChatEngine) -> None:
        start = time.perf_counter()
        await engine.check_health()
        assert time.perf_counter() - start < SOON_S

    async def test_it_knows_itself(self, engine: ChatEngine) -> None:
        assert engine.capabilities.task is Task.CHAT
        assert engine.capabilities.context_length >= 16
        assert "temperature" in engine.capabilities.parameters
        assert len(engine.revision) == 12

    @pytest.mark.parametrize("stream", [False, True])
    @pytest.mark.parametrize(
        ("wrong", "kind", "param"),
        [
            ({"brightness": 3}, UnsupportedParameter, "brightness"),
            ({"cache_salt": "x"}, UnsupportedParameter, "cache_salt"),
            ({"request_id": "x"}, UnsupportedParameter, "request_id"),
            ({"messages": []}, BadRequest, "messages"),
            ({"messages": "hello"}, BadRequest, "messages"),
            ({"messages": [{"role": "pilot", "content": "hi"}]}, BadRequest, "messages.0.role"),
            ({"messages": [{"role": "user"}]}, BadRequest, "messages.0.content"),
            (
                {
                    "messages": [
                        {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "file:///x"}}]}
                    ]
                },
                UnsupportedParameter,
                "messages.0.content.0.type",
            ),
            ({"max_tokens": -1}, BadRequest, "max_tokens"),
            ({"max_tokens": "many"}, BadRequest, "max_tokens"),
            ({"temperature": 3}, BadRequest, "temperature"),
            ({"temperature": "hot"}, BadRequest, "temperature"),
            ({"top_p": 0}, BadRequest, "top_p"),
            ({"n": 0}, BadRequest, "n"),
            ({"n": 100_000}, BadRequest, "n"),
            ({"seed": 2**63}, BadRequest, "seed"),
            ({"stop": 3}, BadRequest, "stop"),
        ],
    )
    async def test_a_bad_request_is_refused_by_name(
        self, engine: ChatEngine, wrong: dict[str, Any], kind: type[BadRequest], param: str, stream: bool
    ) -> None:
        with pytest.raises(kind) as caught:
            await (events if stream else answer)(engine, **wrong)
        assert caught.value.param == param

    async def test_stream_options_without_a_stream_are_refused(self, engine: ChatEngine) -> None:
        with pytest.raises(BadRequest) as caught:
            await answer(engine, stream_options={"include_usage": True})
        assert caught.value.param == "stream_options"

    @pytest.mark.parametrize("body", [b"{", b"[]", b"3", b"\xff"])
    async def test_a_body_that_is_no_object_is_refused(self, engine: ChatEngine, body: bytes) -> None:
        with pytest.raises(BadRequest):
            await engine.chat(ChatCall(body=body, request_id="x"))

    @pytest.mark.parametrize("stream", [False, True])
    async def test_a_prompt_over_the_context_is_refused_before_any_output(
        self, engine: ChatEngine, stream: bool
    ) -> None:
        text = "word " * (engine.capabilities.context_length + 10)
        if stream:
            with pytest.raises(ContextTooLong, match="maximum context length"):
                await anext(engine.stream(call(text, stream=True)))
        else:
            with pytest.raises(ContextTooLong, match="maximum context length"):
                await engine.chat(call(text))

    async def test_prompt_and_limit_together_over_the_context_are_refused(self, engine: ChatEngine) -> None:
        context = engine.capabilities.context_length
        with pytest.raises(ContextTooLong):
            await answer(engine, max_tokens=context + 1)
        if self.counts_first:
            with pytest.raises(ContextTooLong):
                await answer(engine, max_tokens=context - 1)

    async def test_it_serves_on_after_refusals(self, engine: ChatEngine) -> None:
        await engine.check_health()
        assert await answer(engine, max_tokens=2)


class EndPromises:
    """Inherit, after all else that uses the same `engine`: it is stopped, which every engine survives."""

    async def test_a_stopped_engine_says_so_and_stays_stopped(self, engine: ChatEngine) -> None:
        await engine.stop()
        await engine.stop()
        with pytest.raises(EngineDead):
            await engine.check_health()
        with pytest.raises(EngineDead):
            await engine.chat(call())
        with pytest.raises(EngineDead):
            await anext(engine.stream(call(stream=True)))
        with pytest.raises(EngineDead):
            await engine.tokenize(TokenizeCall(body=b'{"prompt": "sun"}', request_id="t"))
