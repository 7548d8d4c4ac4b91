"""Answers of the llama.cpp engine that follow a schema, and calls of tools."""

import json

import pytest

from cluster.engines.protocol import ChatEngine
from cluster.errors import BadRequest
from tests.live.engines.llama_cpp.tools import ASKED, WEATHER
from tests.unit.engines.asking import answer, events, text_of
from tests.unit.engines.completion_promises import tokens

pytestmark = [
    pytest.mark.live,
    pytest.mark.asyncio(loop_scope="module"),
    # The warnings are those of Transformers' own modules as they are imported.
    pytest.mark.filterwarnings("ignore"),
]


async def test_json_is_json_of_its_schema(engine: ChatEngine) -> None:
    schema = {
        "type": "object",
        "properties": {
            "mood": {"enum": ["glad", "sad"]},
            "count": {"type": "integer", "minimum": 0, "maximum": 99},
        },
        "required": ["mood", "count"],
        "additionalProperties": False,
    }
    wanted = {"type": "json_schema", "json_schema": {"name": "mood", "strict": True, "schema": schema}}
    for seed in range(3):
        found = await answer(engine, seed=seed, temperature=1.5, max_tokens=60, response_format=wanted)
        made = json.loads(found["choices"][0]["message"]["content"])
        assert set(made) == {"mood", "count"}
        assert made["mood"] in {"glad", "sad"}
        assert 0 <= made["count"] <= 99
    chunks = await events(engine, temperature=0, max_tokens=60, response_format=wanted)
    assert json.loads(text_of(chunks))["mood"] in {"glad", "sad"}


async def test_a_json_object_is_one(engine: ChatEngine) -> None:
    found = await answer(
        engine, text="Give a name as JSON.", temperature=0, max_tokens=200, response_format={"type": "json_object"}
    )
    said = found["choices"][0]
    assert said["message"]["content"].startswith("{")
    if said["finish_reason"] == "stop":
        assert isinstance(json.loads(said["message"]["content"]), dict)


@pytest.mark.parametrize("stream", [False, True])
async def test_a_schema_that_cannot_be_followed_is_refused(engine: ChatEngine, stream: bool) -> None:
    for schema in (
        {"type": "no such type"},
        {"$ref": "http://example.org/x.json"},
        {"pattern": "(((", "type": "string"},
    ):
        wanted = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}
        with pytest.raises(BadRequest) as caught:
            await (events if stream else answer)(engine, response_format=wanted, max_tokens=5)
        assert caught.value.param == "response_format"
    await engine.check_health()


async def test_a_tool_is_called(engine: ChatEngine) -> None:
    assert "tools" in engine.capabilities.names
    choice = (await answer(engine, **ASKED, tools=[WEATHER]))["choices"][0]
    [made] = choice["message"]["tool_calls"]
    assert (choice["finish_reason"], made["type"], made["function"]["name"]) == (
        "tool_calls",
        "function",
        "get_weather",
    )
    assert json.loads(made["function"]["arguments"]) == {"city": "Paris"}
    assert choice["message"]["content"] is None


async def test_a_streamed_call_is_the_same(engine: ChatEngine) -> None:
    chunks = await events(engine, **ASKED, tools=[WEATHER])
    deltas = [choice["delta"] for chunk in chunks[:-1] for choice in chunk["choices"]]
    parts = [part for delta in deltas for part in delta.get("tool_calls", ())]
    assert "".join(part["function"].get("name") or "" for part in parts) == "get_weather"
    assert json.loads("".join(part["function"].get("arguments") or "" for part in parts)) == {"city": "Paris"}


async def test_a_call_can_be_forced_named_and_forbidden(engine: ChatEngine) -> None:
    wanted = {**ASKED, "text": "Hello!", "tools": [WEATHER], "parallel_tool_calls": False}
    named = {"type": "function", "function": {"name": "get_weather"}}
    for choice, reason in (("required", "tool_calls"), (named, "stop")):
        found = (await answer(engine, **wanted, tool_choice=choice))["choices"][0]
        assert found["message"]["tool_calls"][0]["function"]["name"] == "get_weather"
        assert set(json.loads(found["message"]["tool_calls"][0]["function"]["arguments"])) == {"city"}
        assert found["finish_reason"] == reason
        chunks = await events(engine, **wanted, tool_choice=choice)
        deltas = [each["delta"] for chunk in chunks[:-1] for each in chunk["choices"]]
        [part] = [part for delta in deltas for part in delta.get("tool_calls", ())]
        assert part["function"]["name"] == "get_weather"
    assert (
        "tool_calls"
        not in (await answer(engine, **ASKED, tools=[WEATHER], tool_choice="none"))["choices"][0]["message"]
    )


async def test_a_chosen_call_follows_its_schema(engine: ChatEngine) -> None:
    """What `strict` asks for is kept for every tool."""
    parameters = {"type": "object", "properties": {"city": {"enum": ["Oslo", "Rome"]}}, "required": ["city"]}
    function = {**WEATHER["function"], "parameters": parameters, "strict": True}
    for stream in (False, True):
        given = {**ASKED, "tools": [{"type": "function", "function": function}]}
        if stream:
            deltas = [each["delta"] for chunk in (await events(engine, **given))[:-1] for each in chunk["choices"]]
            parts = [part for delta in deltas for part in delta.get("tool_calls", ())]
            text = "".join(part["function"].get("arguments") or "" for part in parts)
        else:
            choice = (await answer(engine, **given))["choices"][0]
            text = choice["message"]["tool_calls"][0]["function"]["arguments"]
        assert json.loads(text)["city"] in {"Oslo", "Rome"}


async def test_the_answer_of_a_tool_is_read(engine: ChatEngine) -> None:
    made = {"id": "c1", "type": "function", "function": {"name": "get_weather", "arguments": '{"city": "Paris"}'}}
    messages = [
        {"role": "user", "content": "What is the weather in Paris?"},
        {"role": "assistant", "content": None, "tool_calls": [made]},
        {"role": "tool", "tool_call_id": "c1", "content": '{"weather": "rain"}'},
    ]
    found = await answer(engine, messages=messages, tools=[WEATHER], temperature=0, max_tokens=40)
    assert found["choices"][0]["message"]["content"]
    text = await engine.detokenize((await tokens(engine, messages=messages, tools=[WEATHER])).tokens)
    assert '<tool_call>{"name": "get_weather", "arguments": {"city": "Paris"}}</tool_call>' in text
