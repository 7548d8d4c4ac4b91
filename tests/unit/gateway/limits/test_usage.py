"""Tokens before and after."""

import json
import time

import pytest

from cluster.engines.completions import DONE
from deployments.gateway.limits.usage import Estimate, StreamCount, of_chat, of_inputs, used
from deployments.gateway.parsing import parse
from deployments.gateway.wire import ChatRequest

USAGE = {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}


def event(**fields: object) -> bytes:
    return b"data: " + json.dumps(fields).encode() + b"\n\n"


def chat(**fields: object) -> Estimate:
    body = {"model": "echo", "messages": [{"role": "user", "content": "x" * 401}], **fields}
    return of_chat(parse(ChatRequest, json.dumps(body).encode()))


def test_a_chat_is_its_characters_by_four_and_the_answers_it_asks_for() -> None:
    assert chat().total(256) == 101 + 256
    assert chat(max_tokens=10).total(256) == 101 + 10
    assert chat(max_completion_tokens=10, n=3).total(256) == 101 + 30


def test_pictures_and_tools_are_part_of_a_prompt() -> None:
    picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64," + "A" * 100_000}}
    seen = chat(messages=[{"role": "user", "content": [{"type": "text", "text": "abcd"}, picture]}])
    assert seen.prompt == 257
    assert chat(tools=[{"type": "function", "function": {"name": "f" * 64}}]).prompt > 101 + 16


def test_inputs_of_embeddings_are_characters_or_tokens() -> None:
    assert of_inputs(("abcd", "abcde", (1, 2, 3))).total(256) == 1 + 2 + 3


@pytest.mark.parametrize("spaces", [(",", ":"), (", ", ": ")])
def test_a_whole_answer_says_what_it_took(spaces: tuple[str, str]) -> None:
    answer = {"choices": [{"message": {"content": '{"total_tokens": 99}'}}], "usage": USAGE, "service_tier": None}
    assert used(json.dumps(answer, separators=spaces).encode()) == 7


def test_what_a_text_says_of_tokens_is_not_believed() -> None:
    answer = {"choices": [{"message": {"content": 'say "total_tokens": 99'}}]}
    assert used(json.dumps(answer).encode()) is None


@pytest.mark.parametrize("joined", [False, True])
def test_a_streams_usage_is_found_in_its_last_items(joined: bool) -> None:
    count = StreamCount()
    last = [event(choices=[], usage=USAGE), DONE]
    for item in [event(choices=[{"delta": {"content": "hi"}}]), *([b"".join(last)] if joined else last)]:
        count.saw(item)
    assert count.used(Estimate(prompt=100)) == 7


def test_a_stream_without_usage_is_counted_by_its_events() -> None:
    count = StreamCount()
    opening, closing = event(choices=[{"delta": {"role": "assistant"}}]), event(choices=[{"finish_reason": "stop"}])
    words = [event(choices=[{"delta": {"content": "hi"}}])] * 10
    for item in [opening, words[0], b"".join(words[1:]), closing + DONE]:
        count.saw(item)
    assert count.used(Estimate(prompt=100)) == 110


def test_a_long_stream_without_usage_is_counted_by_its_size() -> None:
    count = StreamCount()
    words = [event(choices=[{"delta": {"content": "w" * (number % 9)}}]) for number in range(1000)]
    count.saw(event(choices=[{"delta": {"role": "assistant"}}]))
    for start in range(0, 1000, 5):
        count.saw(b"".join(words[start : start + 5]))
    count.saw(event(choices=[{"finish_reason": "stop"}]) + DONE)
    assert count.used(Estimate(prompt=100)) == pytest.approx(1100, rel=0.1)


def test_a_look_at_an_item_costs_less_than_two_microseconds() -> None:
    item = (
        event(id="chatcmpl-" + "a" * 32, object="chat.completion.chunk", choices=[{"delta": {"content": "hi"}}]) * 8
    )
    count, turns = StreamCount(), 2000
    best = min(_timed(count, item, turns) for _ in range(5))  # of several: the machine has other work too
    assert best / turns < 2e-6


def _timed(count: StreamCount, item: bytes, turns: int) -> float:
    begun = time.process_time()
    for _ in range(turns):
        count.saw(item)
    return time.process_time() - begun
