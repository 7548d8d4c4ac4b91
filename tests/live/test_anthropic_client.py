"""The official Anthropic client against the real cluster: real sockets, real vLLM, the built-in models."""

import base64
import json
from collections.abc import Iterator
from typing import Any

import anthropic
import pytest

from tests.live.conftest import RunningCluster
from tests.unit.engines.pictures import encoded, plain

CHAT, VISION = "spark-chat", "spark-vision"
STORY = [{"role": "user", "content": "Tell me a short story about a mirror."}]
WEATHER: dict[str, Any] = {
    "name": "get_weather",
    "description": "Get the weather of a city",
    "input_schema": {
        "type": "object",
        "properties": {"city": {"type": "string", "maxLength": 24}},
        "required": ["city"],
        "additionalProperties": False,
    },
}
ASKED = [{"role": "user", "content": "What is the weather in Velmora?"}]
COLD = {"temperature": 0}  # this client's newest release has no argument for it


@pytest.fixture(scope="module")
def client(cluster: RunningCluster) -> Iterator[anthropic.Anthropic]:
    with anthropic.Anthropic(base_url=cluster.url, api_key="unused", max_retries=0) as client:
        yield client


def test_it_answers(client: anthropic.Anthropic) -> None:
    answer = client.messages.create(model=CHAT, max_tokens=12, messages=STORY, extra_body=COLD)
    assert answer.content[0].text.strip()
    assert answer.stop_reason in {"max_tokens", "end_turn"}
    assert answer.usage.output_tokens > 1
    assert answer._request_id


def test_a_stream_says_the_same_as_a_whole_answer(client: anthropic.Anthropic) -> None:
    asked: dict[str, Any] = {"model": CHAT, "max_tokens": 30, "messages": STORY, "extra_body": COLD}
    whole = client.messages.create(**asked)
    with client.messages.stream(**asked) as stream:
        pieces = list(stream.text_stream)
        streamed = stream.get_final_message()
    assert len(pieces) > 1
    assert "".join(pieces) == whole.content[0].text
    assert streamed.stop_reason == whole.stop_reason
    counts = [(one.usage.input_tokens, one.usage.output_tokens) for one in (whole, streamed)]
    assert counts[0] == counts[1]


def test_the_stop_sequence_that_was_met_is_named(client: anthropic.Anthropic) -> None:
    asked: dict[str, Any] = {"model": CHAT, "max_tokens": 30, "messages": STORY, "extra_body": COLD}
    word = client.messages.create(**asked).content[0].text.split()[3]
    stopped = client.messages.create(**asked, stop_sequences=["\x00", word])
    assert (stopped.stop_reason, stopped.stop_sequence) == ("stop_sequence", word)
    assert word not in stopped.content[0].text


def test_the_tokens_counted_are_those_an_answer_reads(client: anthropic.Anthropic) -> None:
    prompts: tuple[dict[str, Any], ...] = (
        {"model": CHAT, "messages": STORY, "system": "Be brief."},
        {"model": CHAT, "messages": ASKED, "tools": [WEATHER]},
        {"model": CHAT, "messages": [*STORY, {"role": "assistant", "content": "Once upon"}]},
        {"model": VISION, "messages": [shown("red")]},
    )
    for asked in prompts:
        counted = client.messages.count_tokens(**asked).input_tokens
        assert counted == client.messages.create(**asked, max_tokens=1).usage.input_tokens


def test_an_answer_that_is_begun_is_gone_on_with(client: anthropic.Anthropic) -> None:
    begun = [*STORY, {"role": "assistant", "content": "Once upon a"}]
    answer = client.messages.create(model=CHAT, max_tokens=8, messages=begun, extra_body=COLD)
    assert not answer.content[0].text.strip().startswith("Once")


@pytest.mark.parametrize("choice", [{"type": "any"}, {"type": "tool", "name": "get_weather"}], ids=["any", "tool"])
def test_a_forced_call_follows_its_schema_and_is_answered(client: anthropic.Anthropic, choice: Any) -> None:
    asked: dict[str, Any] = {"model": CHAT, "max_tokens": 80, "tools": [WEATHER], "extra_body": COLD}
    whole = client.messages.create(**asked, messages=ASKED, tool_choice=choice)
    with client.messages.stream(**asked, messages=ASKED, tool_choice=choice) as stream:
        parts = [event.partial_json for event in stream if event.type == "input_json"]
        streamed = stream.get_final_message()
    for answer in (whole, streamed):
        assert answer.stop_reason == "tool_use"
        (call,) = answer.content
        assert (call.type, call.name, [*call.input]) == ("tool_use", "get_weather", ["city"])
    assert json.loads("".join(parts)) == streamed.content[0].input == whole.content[0].input
    result = {"type": "tool_result", "tool_use_id": whole.content[0].id, "content": "It is sunny in Velmora."}
    turns = [*ASKED, {"role": "assistant", "content": whole.content}, {"role": "user", "content": [result]}]
    last = client.messages.create(**asked, messages=turns)
    assert last.content[0].type == "text"


def shown(colour: str) -> dict[str, Any]:
    data = base64.b64encode(encoded(plain(colour))).decode()
    picture = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": data}}
    return {"role": "user", "content": [picture, {"type": "text", "text": "What colour is it?"}]}


def test_a_picture_reaches_the_model(client: anthropic.Anthropic) -> None:
    said = [
        client.messages.create(model=VISION, max_tokens=12, messages=[shown(colour)], extra_body=COLD)
        .content[0]
        .text.lower()
        for colour in ("red", "blue")
    ]
    assert said[0] != said[1]


def test_what_is_wrong_is_the_clients_own_kind_of_error(client: anthropic.Anthropic) -> None:
    with pytest.raises(anthropic.NotFoundError):
        client.messages.create(model="claude", max_tokens=5, messages=STORY)
    with pytest.raises(anthropic.BadRequestError) as caught:
        client.messages.create(model=CHAT, max_tokens=5, messages=[{"role": "user", "content": "word " * 5000}])
    assert caught.value.body["error"]["type"] == "invalid_request_error"
    assert "messages" in caught.value.body["error"]["message"]
    assert caught.value.request_id


@pytest.mark.parametrize("host", ["127.0.0.1", "169.254.169.254", "[::ffff:127.0.0.1]", "localhost", "0x7f000001"])
def test_a_picture_at_a_private_address_is_not_asked_for(client: anthropic.Anthropic, host: str) -> None:
    source = {"type": "url", "url": f"http://{host}/x.png"}
    message: Any = {"role": "user", "content": [{"type": "image", "source": source}]}
    with pytest.raises(anthropic.BadRequestError, match=r"messages\[0\]\.content\[0\]: .*not a public one"):
        client.messages.create(model=VISION, max_tokens=5, messages=[message])
