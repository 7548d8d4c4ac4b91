"""OpenAI's Responses API at the real endpoint, through the official client: real sockets, real vLLM."""

import asyncio
import json
import time
from collections.abc import Iterator
from typing import Any, Literal

import httpx
import openai
import pytest
from openai.types.responses import Response
from pydantic import BaseModel

from tests.live.conftest import RunningCluster
from tests.unit.engines.pictures import odd, url

MODEL, SEEING = "spark-chat", "spark-vision"
STORY = "Tell me a short story about a mirror."
ASKED = "What is the weather in Velmora?"
WORDS = {"type": "array", "items": {"enum": ["sun", "moon"]}, "minItems": 600, "maxItems": 600}
LONG: dict[str, Any] = {
    "model": MODEL,
    "input": "Name many lights.",
    "max_output_tokens": 1200,
    # The API has no `ignore_eos`: the schema keeps the model from ending early.
    "text": {"format": {"type": "json_schema", "name": "lights", "schema": WORDS, "strict": True}},
}
TOOL: Any = {
    "type": "function",
    "name": "get_weather",
    "description": "Get the weather of a city",
    "parameters": {
        "type": "object",
        "properties": {"city": {"type": "string", "maxLength": 24}},
        "required": ["city"],
        "additionalProperties": False,
    },
    "strict": False,
}


class Mood(BaseModel):
    mood: Literal["good", "bad"]


@pytest.fixture
def client(cluster: RunningCluster) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{cluster.url}/v1", api_key="unused", max_retries=0) as client:
        yield client


def test_a_response_has_openais_shape_and_is_read_and_deleted(client: openai.OpenAI) -> None:
    raw = client.responses.with_raw_response.create(
        model=MODEL, input=STORY, instructions="Be kind.", max_output_tokens=30, temperature=0
    )
    response = Response.model_validate_json(raw.text, strict=True)
    assert response.output_text.strip()
    assert response.usage is not None
    assert response.usage.output_tokens > 1
    read = client.responses.retrieve(response.id)
    assert (read.output_text, read.status, read.instructions) == (response.output_text, response.status, "Be kind.")
    assert [item.type for item in client.responses.input_items.list(response.id)] == ["message"]
    client.responses.delete(response.id)
    with pytest.raises(openai.NotFoundError):
        client.responses.retrieve(response.id)


def test_a_stream_says_the_same_as_a_whole_answer(client: openai.OpenAI) -> None:
    asked: dict[str, Any] = {"model": MODEL, "input": STORY, "max_output_tokens": 30, "temperature": 0}
    whole = client.responses.create(**asked)
    events = list(client.responses.create(**asked, stream=True))
    assert [event.sequence_number for event in events] == list(range(len(events)))
    assert (
        "".join(event.delta for event in events if event.type == "response.output_text.delta") == whole.output_text
    )
    last = events[-1]
    assert last.type in {"response.completed", "response.incomplete"}
    assert last.response.status == whole.status
    assert client.responses.retrieve(last.response.id).output_text == whole.output_text


def accumulated(client: openai.OpenAI, **asked: Any) -> Any:
    """What the client's own accumulator makes of the events.

    It refuses those that do not fit together, and an end that is not `response.completed`.
    """
    with client.responses.stream(model=MODEL, temperature=0, **asked) as stream:
        told = "".join(event.delta for event in stream if event.type.endswith(".delta"))
        final = stream.get_final_response()
    (item,) = final.output
    assert told == (item.arguments if item.type == "function_call" else final.output_text)
    return item


def test_the_clients_own_accumulator_takes_a_call(client: openai.OpenAI) -> None:
    assert json.loads(accumulated(client, input=ASKED, tools=[TOOL]).arguments) == {"city": "Velmora"}


def test_the_clients_own_accumulator_takes_a_text(client: openai.OpenAI) -> None:
    item = accumulated(client, input="How are you?", text_format=Mood, max_output_tokens=40)
    assert item.content[0].parsed.mood in {"good", "bad"}


def test_tokens_arrive_one_after_another(client: openai.OpenAI) -> None:
    asked = {**LONG, "max_output_tokens": 250}
    arrivals = [time.monotonic() for _ in client.responses.create(**asked, stream=True)]
    half = (arrivals[-1] - arrivals[0]) / 2
    early = sum(1 for arrival in arrivals if arrival - arrivals[0] < half)
    assert early > len(arrivals) * 0.2, "the events came in one lump at the end"


def test_a_call_its_result_and_the_answer_from_it(client: openai.OpenAI) -> None:
    asked: dict[str, Any] = {"model": MODEL, "input": ASKED, "tools": [TOOL], "temperature": 0}
    whole = client.responses.create(**asked)
    (call,) = whole.output
    assert call.type == "function_call"
    assert (call.name, json.loads(call.arguments)) == ("get_weather", {"city": "Velmora"})
    events = list(client.responses.create(**asked, stream=True))
    pieces = [event.delta for event in events if event.type == "response.function_call_arguments.delta"]
    assert "".join(pieces) == call.arguments
    last = events[-1]
    assert last.type == "response.completed"
    (streamed,) = last.response.output
    assert streamed.type == "function_call"
    result: Any = {
        "type": "function_call_output",
        "call_id": streamed.call_id,
        "output": '{"weather": "rain", "temperature": 12}',
    }
    answer = client.responses.create(
        model=MODEL, input=[result], previous_response_id=last.response.id, tools=[TOOL], temperature=0
    )
    assert "rain" in answer.output_text.lower()
    # The same without the server's memory: the output is sent back as it came.
    sent: Any = [{"role": "user", "content": ASKED}, *last.response.output, result]
    again = client.responses.create(model=MODEL, input=sent, tools=[TOOL], temperature=0, store=False)
    assert again.output_text == answer.output_text


def test_a_forced_call_is_made(client: openai.OpenAI) -> None:
    choice: Any = {"type": "function", "name": "get_weather"}
    response = client.responses.create(
        model=MODEL, input="Hello", tools=[TOOL], tool_choice=choice, max_output_tokens=60
    )
    assert [item.type for item in response.output] == ["function_call"]


def test_a_schema_is_followed(client: openai.OpenAI) -> None:
    response = client.responses.parse(model=MODEL, input="How are you?", text_format=Mood, max_output_tokens=40)
    assert response.output_parsed is not None
    assert response.output_parsed.mood in {"good", "bad"}


def test_log_probabilities_come_with_the_text(client: openai.OpenAI) -> None:
    response = client.responses.create(
        model=MODEL, input=STORY, max_output_tokens=5, include=["message.output_text.logprobs"], top_logprobs=2
    )
    (item,) = response.output
    assert item.type == "message"
    part = item.content[0]
    assert part.type == "output_text"
    assert part.logprobs is not None
    assert len(part.logprobs) == 5
    assert all(len(token.top_logprobs) >= 2 and token.logprob <= 0 for token in part.logprobs)


def test_a_picture_reaches_the_model_that_sees_and_no_other(client: openai.OpenAI) -> None:
    parts = [{"type": "input_text", "text": "What is it?"}, {"type": "input_image", "image_url": url(odd()["png"])}]
    items: Any = [{"role": "user", "content": parts}]
    seen = client.responses.create(model=SEEING, input=items, max_output_tokens=8, temperature=0)
    blind = client.responses.create(model=SEEING, input="What is it?", max_output_tokens=8, temperature=0)
    assert seen.usage is not None
    assert blind.usage is not None
    assert seen.usage.input_tokens > blind.usage.input_tokens
    with pytest.raises(openai.BadRequestError) as caught:
        client.responses.create(model=MODEL, input=items)
    assert caught.value.param == "input"
    broken: Any = [{"role": "user", "content": [{"type": "input_image", "image_url": "file:///etc/hostname"}]}]
    with pytest.raises(openai.BadRequestError) as caught:
        client.responses.create(model=SEEING, input=broken)
    assert (caught.value.code, caught.value.param) == ("invalid_image_url", "input[0].content[0].image_url")


@pytest.mark.parametrize(
    ("fields", "code", "param"),
    [
        ({"tools": [{"type": "web_search"}]}, "invalid_request", "tools"),
        ({"input": "word " * 5000}, "context_length_exceeded", "input"),
        ({"reasoning": {"effort": "low"}}, "invalid_request", "reasoning"),
    ],
)
def test_what_is_not_honoured_is_refused(client: openai.OpenAI, fields: Any, code: str, param: str) -> None:
    for stream in (False, True):
        with pytest.raises(openai.BadRequestError) as caught:
            client.responses.create(**{"model": MODEL, "input": "hi", **fields, "stream": stream})
        assert (caught.value.code, caught.value.param) == (code, param)


def test_a_background_response_is_read_when_it_is_done(client: openai.OpenAI) -> None:
    response = client.responses.create(model=MODEL, input=STORY, max_output_tokens=20, background=True)
    assert response.status == "in_progress"
    began = time.monotonic()
    while response.status == "in_progress":
        assert time.monotonic() - began < 60
        time.sleep(0.1)
        response = client.responses.retrieve(response.id)
    assert response.status in {"completed", "incomplete"}
    assert response.output_text.strip()


async def running(client: httpx.AsyncClient) -> float:
    load: float = (await client.get("/health")).json()["load"][MODEL]["running"]
    return load


async def wait_until(client: httpx.AsyncClient, *, busy: bool, within_s: float) -> None:
    began = time.monotonic()
    while bool(await running(client)) != busy:
        assert time.monotonic() - began < within_s, f"busy is not {busy}"
        await asyncio.sleep(0.02)


@pytest.mark.parametrize("stream", [True, False], ids=["streamed", "whole"])
async def test_a_client_that_hangs_up_stops_the_generation(cluster: RunningCluster, stream: bool) -> None:
    async with httpx.AsyncClient(base_url=cluster.url, timeout=30) as client:
        await wait_until(client, busy=False, within_s=5)
        got: list[bytes] = []
        written = asyncio.Event()

        async def ask() -> None:
            async with client.stream("POST", "/v1/responses", json={**LONG, "stream": stream}) as response:
                async for part in response.aiter_bytes():
                    got.append(part)
                    if b"output_text.delta" in part:
                        written.set()

        asking = asyncio.ensure_future(ask())
        await wait_until(client, busy=True, within_s=20)
        if stream:
            await asyncio.wait_for(written.wait(), 10)
        asking.cancel()
        await wait_until(client, busy=False, within_s=5)
        if stream:
            created = json.loads(b"".join(got).split(b"\n")[1].removeprefix(b"data: "))
            stored = (await client.get(f"/v1/responses/{created['response']['id']}")).json()
            assert stored["status"] == "cancelled"
            assert stored["output"][0]["content"][0]["text"].strip()


async def test_cancelling_a_background_response_stops_the_generation(cluster: RunningCluster) -> None:
    async with httpx.AsyncClient(base_url=cluster.url, timeout=30) as client:
        response = (await client.post("/v1/responses", json={**LONG, "background": True})).json()
        await wait_until(client, busy=True, within_s=20)
        cancelled = await client.post(f"/v1/responses/{response['id']}/cancel")
        assert cancelled.json()["status"] == "cancelled"
        await wait_until(client, busy=False, within_s=5)
