"""What every engine promises that goes on with raw prompts and tells tokens; inherited like ChatPromises."""

import asyncio
import json
from collections.abc import Sequence
from typing import Any

import pytest

from cluster.engines.protocol import ChatEngine
from cluster.errors import BadRequest, ContextTooLong, UnsupportedParameter
from cluster.types import CallKind, ChatCall, TokenizeCall, Tokenized
from tests.unit.engines.chat_promises import begun, idle

PROMPT = "the sun and the mirror"


def raw(prompt: Any = PROMPT, **parameters: Any) -> ChatCall:
    body = json.dumps({"prompt": prompt, **parameters}).encode()
    return ChatCall(body=body, request_id="call-1", kind=CallKind.COMPLETION)


async def goes_on(engine: ChatEngine, prompt: Any = PROMPT, **parameters: Any) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(await engine.chat(raw(prompt, **parameters)))
    return found


async def chunks(engine: ChatEngine, prompt: Any = PROMPT, **parameters: Any) -> list[dict[str, Any]]:
    """The decoded events of a stream, without the last, which is [DONE]."""
    body = b"".join([event async for event in engine.stream(raw(prompt, stream=True, **parameters))]).decode()
    *events, done, rest = body.split("\n\n")
    assert (done, rest) == ("data: [DONE]", "")
    return [json.loads(event.removeprefix("data: ")) for event in events]


def streamed(found: Sequence[dict[str, Any]], index: int = 0) -> str:
    choices = [choice for chunk in found for choice in chunk["choices"]]
    return "".join(choice["text"] for choice in choices if choice["index"] == index)


async def tokens(engine: ChatEngine, **wanted: Any) -> Tokenized:
    return await engine.tokenize(TokenizeCall(body=json.dumps(wanted).encode(), request_id="t"))


class CompletionPromises:
    """Inherit, and provide `engine`. takes_tokens: whether there is a vocabulary. talk: gone on with at length."""

    takes_tokens = True
    talk = PROMPT

    async def test_a_raw_prompt_gets_a_text_completion(self, engine: ChatEngine) -> None:
        found = await goes_on(engine, temperature=0, max_tokens=4)
        assert (found["id"], found["object"], found["model"]) == ("cmpl-call-1", "text_completion", "spark")
        [choice] = found["choices"]
        assert choice["text"]
        assert choice["logprobs"] is None
        assert choice["finish_reason"] in {"stop", "length"}
        usage = found["usage"]
        assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]

    async def test_sixteen_tokens_come_where_none_are_asked_for(self, engine: ChatEngine) -> None:
        found = await goes_on(engine, prompt="the sun and the mirror that " * 8, temperature=0)
        assert found["usage"]["completion_tokens"] <= 16

    async def test_a_raw_stream_says_what_the_whole_says(self, engine: ChatEngine) -> None:
        whole = await goes_on(engine, self.talk, temperature=0, max_tokens=12)
        found = await chunks(engine, self.talk, temperature=0, max_tokens=12)
        assert {chunk["object"] for chunk in found} == {"text_completion"}
        assert streamed(found) == whole["choices"][0]["text"]
        assert found[-1]["choices"][0]["finish_reason"] == whole["choices"][0]["finish_reason"]

    async def test_a_raw_stream_ends_with_usage_when_asked(self, engine: ChatEngine) -> None:
        found = await chunks(engine, temperature=0, max_tokens=4, stream_options={"include_usage": True})
        assert found[-1]["choices"] == []
        assert found[-1]["usage"]["completion_tokens"] <= 4

    async def test_several_prompts_have_n_choices_each_in_their_order(self, engine: ChatEngine) -> None:
        prompts = [PROMPT, "light to one tower"]
        found = await goes_on(engine, prompts, n=2, temperature=0, max_tokens=4, echo=True)
        assert [choice["index"] for choice in found["choices"]] == [0, 1, 2, 3]
        for at, choice in enumerate(found["choices"]):
            assert choice["text"].startswith(prompts[at // 2])
        assert found["choices"][0]["text"] == found["choices"][1]["text"]
        alone = await goes_on(engine, prompts[1], temperature=0, max_tokens=4, echo=True)
        assert found["choices"][3]["text"] == alone["choices"][0]["text"]

    async def test_usage_counts_all_choices_and_each_prompt_once(self, engine: ChatEngine) -> None:
        one = (await goes_on(engine, temperature=0, max_tokens=4))["usage"]
        two = (await goes_on(engine, temperature=0, max_tokens=4, n=2))["usage"]
        assert two["prompt_tokens"] == one["prompt_tokens"]
        assert two["completion_tokens"] == 2 * one["completion_tokens"]

    async def test_equal_choices_are_streamed_too(self, engine: ChatEngine) -> None:
        found = await chunks(engine, n=2, temperature=0, max_tokens=4, stream_options={"include_usage": True})
        assert streamed(found, 0) == streamed(found, 1) != ""
        assert (
            found[-1]["usage"]["completion_tokens"]
            == 2 * (await goes_on(engine, temperature=0, max_tokens=4))["usage"]["completion_tokens"]
        )

    async def test_an_echo_comes_first_in_a_stream_too(self, engine: ChatEngine) -> None:
        found = await chunks(engine, temperature=0, max_tokens=4, echo=True)
        assert streamed(found).startswith(PROMPT)

    @pytest.mark.parametrize("stream", [False, True])
    async def test_a_prompt_can_only_be_echoed(self, engine: ChatEngine, stream: bool) -> None:
        if stream:
            text = streamed(await chunks(engine, max_tokens=0, echo=True))
        else:
            found = await goes_on(engine, max_tokens=0, echo=True)
            text = found["choices"][0]["text"]
        assert text == PROMPT

    async def test_a_raw_stop_string_ends_the_text_before_itself(self, engine: ChatEngine) -> None:
        whole = (await goes_on(engine, self.talk, temperature=0, max_tokens=12))["choices"][0]["text"]
        stop = whole[2:5]
        found = (await goes_on(engine, self.talk, temperature=0, max_tokens=12, stop=[stop]))["choices"][0]
        assert (found["text"], found["finish_reason"]) == (whole[: whole.index(stop)], "stop")

    async def test_best_of_as_many_as_n_changes_nothing(self, engine: ChatEngine) -> None:
        assert await goes_on(engine, max_tokens=2, n=2, best_of=2, seed=1)
        assert await goes_on(engine, max_tokens=2, best_of=None, suffix=None, logprobs=None, user="ada")

    @pytest.mark.parametrize("stream", [False, True])
    @pytest.mark.parametrize(
        ("wrong", "kind", "param"),
        [
            ({"prompt": None}, BadRequest, "prompt"),
            ({"prompt": ""}, BadRequest, "prompt"),
            ({"prompt": []}, BadRequest, "prompt"),
            ({"prompt": ["a", ""]}, BadRequest, "prompt"),
            ({"prompt": [-1]}, BadRequest, "prompt.0"),
            ({"prompt": ["a"] * 129}, BadRequest, "prompt"),
            ({"prompt": ["a", "b"], "n": 100}, BadRequest, "n"),
            ({"suffix": "x"}, UnsupportedParameter, "suffix"),
            ({"best_of": 3}, BadRequest, "best_of"),
            ({"max_tokens": 0}, BadRequest, "max_tokens"),
            ({"messages": [{"role": "user", "content": "x"}]}, UnsupportedParameter, "messages"),
            ({"use_beam_search": True}, UnsupportedParameter, "use_beam_search"),
            ({"temperature": 3}, BadRequest, "temperature"),
        ],
    )
    async def test_a_bad_raw_request_is_refused_by_name(
        self, engine: ChatEngine, wrong: dict[str, Any], kind: type[BadRequest], param: str, stream: bool
    ) -> None:
        with pytest.raises(kind) as caught:
            await (chunks if stream else goes_on)(engine, **wrong)
        assert caught.value.param == param

    async def test_a_raw_prompt_over_the_context_is_refused(self, engine: ChatEngine) -> None:
        with pytest.raises(ContextTooLong) as caught:
            await goes_on(engine, "sun " * (engine.capabilities.context_length + 10))
        assert caught.value.param == "prompt"

    @pytest.mark.parametrize("prompts", [1, 2])
    async def test_cancelling_a_raw_completion_frees_its_slots(self, engine: Any, prompts: int) -> None:
        task = asyncio.create_task(engine.chat(raw(["word " * 900] * prompts, max_tokens=900)))
        await begun(engine)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await idle(engine)

    @pytest.mark.parametrize("prompts", [1, 2])
    async def test_closing_a_raw_stream_frees_its_slots(self, engine: Any, prompts: int) -> None:
        stream = engine.stream(raw(["word " * 900] * prompts, stream=True, max_tokens=900, n=2, temperature=1))
        await anext(stream)
        assert engine.running > 0
        await stream.aclose()
        await idle(engine)

    async def test_a_text_is_as_many_tokens_as_its_prompt(self, engine: ChatEngine) -> None:
        found = await tokens(engine, prompt=PROMPT, return_token_strs=True)
        assert found.texts is not None
        assert len(found.texts) == found.count
        assert found.count == (await goes_on(engine, max_tokens=1))["usage"]["prompt_tokens"]

    async def test_messages_are_as_many_tokens_as_their_answer_says(self, engine: ChatEngine) -> None:
        messages = [{"role": "user", "content": PROMPT}]
        found = await tokens(engine, messages=messages)
        assert found.texts is None
        call = ChatCall(body=json.dumps({"messages": messages, "max_tokens": 1}).encode(), request_id="c")
        assert found.count == json.loads(await engine.chat(call))["usage"]["prompt_tokens"]

    @pytest.mark.parametrize(
        ("wrong", "param"),
        [
            ({}, None),
            ({"prompt": "a", "messages": [{"role": "user", "content": "a"}]}, None),
            ({"prompt": 3}, "prompt"),
            ({"prompt": "a", "tools": []}, "tools"),
            ({"prompt": "a", "brightness": 1}, "brightness"),
            ({"messages": []}, "messages"),
            ({"messages": [{"role": "pilot", "content": "a"}]}, "messages.0.role"),
        ],
    )
    async def test_what_has_no_tokens_is_refused(self, engine: ChatEngine, wrong: Any, param: str | None) -> None:
        with pytest.raises(BadRequest) as caught:
            await tokens(engine, **wrong)
        assert caught.value.param == param

    async def test_tokens_are_text_again(self, engine: ChatEngine) -> None:
        if not self.takes_tokens:
            with pytest.raises(UnsupportedParameter) as caught:
                await engine.detokenize((1, 2))
            assert caught.value.param == "tokens"
            return
        found = await tokens(engine, prompt=PROMPT, add_special_tokens=False)
        assert await engine.detokenize(found.tokens) == PROMPT
        for wrong in (2**40, -1):
            with pytest.raises(BadRequest) as caught:
                await engine.detokenize((1, wrong))
            assert caught.value.param == "tokens[1]"

    async def test_a_prompt_of_tokens_is_one_of_their_text(self, engine: ChatEngine) -> None:
        if not self.takes_tokens:
            with pytest.raises(UnsupportedParameter) as caught:
                await goes_on(engine, [1, 2])
            assert caught.value.param == "prompt"
            return
        found = await tokens(engine, prompt=PROMPT)
        text = await goes_on(engine, temperature=0, max_tokens=4)
        ids = await goes_on(engine, list(found.tokens), temperature=0, max_tokens=4)
        assert ids["choices"][0]["text"] == text["choices"][0]["text"]
        echoed = await goes_on(engine, [list(found.tokens)], temperature=0, max_tokens=4, echo=True)
        assert PROMPT in echoed["choices"][0]["text"]
        with pytest.raises(BadRequest, match="not a token"):
            await goes_on(engine, [2**40], echo=True)
