"""`POST /v1/responses` with `stream: true`: OpenAI's events, one after another, and an end whatever happens."""

import asyncio
import json
from typing import Any

import pytest

from cluster.errors import ReplicaLost
from cluster.stores.responses import responses
from deployments.gateway.openai.responses.events import Events
from tests.unit.gateway.conftest import settings_with, started
from tests.unit.gateway.responses.conftest import (
    PATH,
    Told,
    app_over,
    checked,
    chunk,
    ended,
    events_of,
    piece,
)

BODY = {"model": "echo", "input": "one two three", "stream": True}
TOOL = {"type": "function", "name": "f", "parameters": {}}
TEXT = [
    "response.created",
    "response.in_progress",
    "response.output_item.added",
    "response.content_part.added",
    "response.output_text.delta",
    "response.output_text.done",
    "response.content_part.done",
    "response.output_item.done",
    "response.completed",
]


async def streamed(client: Any, **fields: Any) -> list[Any]:
    answer = await client.post(PATH, json={**BODY, **fields})
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"].startswith("text/event-stream")
    return events_of(answer.text)


def kinds(events: list[Any]) -> list[str]:
    """Their types, those of deltas in a row once."""
    found = [event.type for event in events]
    return [kind for at, kind in enumerate(found) if at == 0 or kind != found[at - 1]]


async def test_a_stream_of_text_has_openais_events_in_openais_order(client) -> None:
    events = await streamed(client)
    assert kinds(events) == TEXT
    assert [event.delta for event in events if "delta" in event.type] == ["one", " two", " three"]
    first, last = events[0].response, events[-1].response
    assert (first.status, first.output, first.usage) == ("in_progress", [], None)
    assert (last.id, last.status, last.output_text) == (first.id, "completed", "one two three")
    assert last.usage.output_tokens == 3
    item = next(event.item for event in events if event.type == "response.output_item.done")
    assert item == last.output[0]


async def test_what_a_stream_ended_with_is_what_is_stored(client) -> None:
    last = (await streamed(client))[-1].response
    assert checked(await client.get(f"{PATH}/{last.id}")) == last


async def test_a_stream_and_a_whole_answer_differ_in_ids_and_times_alone(client) -> None:
    last = (await streamed(client, max_output_tokens=2))[-1].response
    whole = checked(await client.post(PATH, json={**BODY, "stream": False, "max_output_tokens": 2}))
    told, other = last.to_dict(), whole.to_dict()
    for response in (told, other):
        del response["id"], response["created_at"], response["output"][0]["id"]
    assert told == other


async def test_a_stream_that_is_cut_ends_as_incomplete(client) -> None:
    events = await streamed(client, max_output_tokens=2)
    assert events[-1].type == "response.incomplete"
    assert events[-1].response.incomplete_details.reason == "max_output_tokens"
    assert events[-2].item.status == "incomplete"


async def test_pieces_of_a_joined_chunk_leave_as_one_delta(gateway) -> None:
    pieces = chunk({"role": "assistant", "content": ""}, {"content": "a"}, {"content": '"\n'}, {"content": "ü😀"})
    async with gateway(Told([pieces, chunk({"content": "!"}), ended("stop")])) as client:
        events = await streamed(client)
    assert [event.delta for event in events if "delta" in event.type] == ['a"\nü😀', "!"]
    used = events[-1].response.usage
    assert (used.input_tokens, used.input_tokens_details.cached_tokens, used.output_tokens) == (7, 4, 5)


async def test_calls_come_as_items_with_their_arguments_in_pieces(gateway) -> None:
    chunks = [
        chunk({"role": "assistant", "content": ""}),
        chunk({"content": "let me"}, piece(0, id="c1", name="f")),
        chunk(piece(0, '{"a"'), piece(0, ": 1}")),
        chunk(piece(1, "{}", id="c2", name="g")),
        chunk(piece(1, " ")),
        ended("tool_calls"),
    ]
    async with gateway(Told(chunks)) as client:
        events = await streamed(client, tools=[TOOL])
    assert kinds(events)[2:] == [
        *TEXT[2:8],
        "response.output_item.added",
        "response.function_call_arguments.delta",
        "response.output_item.added",
        "response.function_call_arguments.delta",
        "response.function_call_arguments.done",
        "response.output_item.done",
        "response.function_call_arguments.done",
        "response.output_item.done",
        "response.completed",
    ]
    text, first, second = events[-1].response.output
    assert text.content[0].text == "let me"
    assert (first.call_id, first.name, first.arguments, first.status) == ("c1", "f", '{"a": 1}', "completed")
    assert (second.call_id, second.name, second.arguments) == ("c2", "g", "{} ")
    deltas = [event for event in events if event.type == "response.function_call_arguments.delta"]
    assert "".join(event.delta for event in deltas if event.item_id == first.id) == first.arguments
    assert {event.output_index for event in deltas} == {1, 2}


async def test_a_call_that_is_cut_is_incomplete_and_not_continued_from(gateway) -> None:
    model = Told([chunk(piece(0, '{"a', id="c1", name="f")), ended("length")])
    async with gateway(model) as client:
        last = (await streamed(client, tools=[TOOL]))[-1].response
        assert (last.status, last.output[0].status) == ("incomplete", "incomplete")
        await streamed(client, previous_response_id=last.id)
    assert [message["role"] for message in model.calls[1]["messages"]] == ["user", "user"]


async def test_an_answer_of_nothing_is_an_item_without_text(gateway) -> None:
    async with gateway(Told([chunk({"role": "assistant", "content": ""}), ended("stop")])) as client:
        events = await streamed(client)
    assert kinds(events) == [kind for kind in TEXT if kind != "response.output_text.delta"]
    assert events[-1].response.output == [events[-2].item]
    assert events[-1].response.output_text == ""


async def test_log_probabilities_come_with_the_deltas(gateway) -> None:
    token = {"token": "a", "logprob": -0.5, "bytes": [97], "top_logprobs": []}
    said = chunk({"content": "a"}, logprobs={"content": [token]})
    async with gateway(Told([said, ended("stop")])) as client:
        events = await streamed(client, include=["message.output_text.logprobs"])
    delta = next(event for event in events if event.type == "response.output_text.delta")
    assert (delta.logprobs[0].token, delta.logprobs[0].logprob) == ("a", -0.5)
    assert events[-1].response.output[0].content[0].logprobs[0].bytes == [97]


async def test_a_failure_after_the_start_ends_the_stream_as_failed(gateway) -> None:
    async with gateway(await started(fail_after_tokens=2)) as client:
        events = await streamed(client)
        assert [event.type for event in events[-2:]] == ["error", "response.failed"]
        assert events[-2].code == "engine_error"
        failed = events[-1].response
        assert (failed.status, failed.error.code, failed.output_text) == ("failed", "server_error", "one two")
        assert failed.output[0].status == "incomplete"
        assert checked(await client.get(f"{PATH}/{failed.id}")).status == "failed"


BROKEN = {
    "it just stops": [chunk({"content": "a"})],
    "an error among the chunks": [
        chunk({"content": "a"}),
        b'data: {"error": {"message": "broken", "code": 500}}\n\n',
    ],
    "no JSON": [chunk({"content": "a"}), b"data: {\n\n"],
}


@pytest.mark.parametrize("name", BROKEN)
async def test_whatever_breaks_a_stream_it_ends_as_failed(gateway, name: str) -> None:
    async with gateway(Told(BROKEN[name])) as client:
        events = await streamed(client, store=False)
    assert events[-1].type == "response.failed"
    assert events[-1].response.output_text == "a"


async def test_a_stream_over_its_time_ends_as_failed(gateway) -> None:
    model = await started(token_delay_s=0.02, tokens=50)
    async with gateway(model, limits={"generation_timeout_ms": 60}) as client:
        events = await streamed(client)
    assert (events[-2].type, events[-2].code) == ("error", "generation_timeout")
    assert model.engine.running == 0


async def test_a_client_that_hangs_up_frees_the_engine_and_leaves_what_it_got(database: str) -> None:
    model = await started(token_delay_s=0.005, tokens=60)
    app = app_over(model, settings_with(stores={"database": database}))
    sent: list[bytes] = []
    hung_up = asyncio.Event()
    body: list[dict[str, Any]] = [{"type": "http.request", "body": json.dumps(BODY).encode()}]

    async def receive() -> dict[str, Any]:
        if body:
            return body.pop()
        await hung_up.wait()
        return {"type": "http.disconnect"}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message.get("body", b""))
        if sum(b"output_text.delta" in part for part in sent) == 3:
            hung_up.set()

    scope = {"type": "http", "asgi": {"spec_version": "2.3"}, "method": "POST", "path": PATH, "headers": []}
    await app({**scope, "query_string": b"", "raw_path": PATH.encode()}, receive, send)
    assert model.engine.running == 0
    response_id = json.loads(sent[1].split(b"\n")[1].removeprefix(b"data: "))["response"]["id"]
    await app.state.desk.keeper.written()
    async with asyncio.timeout(5):
        found = await app.state.desk.keeper.get("local", response_id)
    assert found.status == "cancelled"
    assert found.body["output"][0]["content"][0]["text"].startswith("one two three")
    assert found.body["output"][0]["status"] == "incomplete"


async def test_a_stream_reads_its_text_before_the_answer_is_done(database: str) -> None:
    """The first event does not wait for the store, nor the first word for the second."""
    from deployments.gateway.openai.responses import streaming, turn
    from tests.unit.gateway.responses.conftest import desk_over

    model = await started(token_delay_s=3600, tokens=20)
    desk, chats = desk_over(model, settings_with(stores={"database": database}))

    class Request:
        state = type("State", (), {"request_id": "r"})()

        async def body(self) -> bytes:
            return json.dumps(BODY).encode()

    asked = await turn.read(Request(), chats, desk.keeper)  # type: ignore[arg-type]
    events = streaming.events(asked, chats, desk.keeper)
    async with asyncio.timeout(20):  # the second word comes in an hour
        async for item in events:
            if b"output_text.delta" in item:
                break
    assert model.engine.running == 1
    await events.aclose()  # type: ignore[attr-defined]
    assert model.engine.running == 0
    await desk.keeper.written()


def test_errors_of_ours_are_told_with_their_code_and_hint() -> None:
    body = {"id": "resp_" + "0" * 48, "status": "failed"}
    said = Events(body, 0).broken(ReplicaLost("gone", hint="again"), body)
    assert json.loads(said.split(b"\n")[1].removeprefix(b"data: ")) == {
        "type": "error",
        "code": "replica_lost",
        "message": "gone — again",
        "param": None,
        "sequence_number": 0,
    }


async def test_a_response_that_cannot_be_stored_ends_as_failed_and_says_nothing_of_the_store(
    gateway, stored, caplog
) -> None:
    async with gateway(await started(token_delay_s=0.01)) as client:
        assert (await client.post(PATH, json=BODY)).status_code == 200
        responses.drop(stored._engine)
        events = await streamed(client)
        assert [event.type for event in events[-2:]] == ["error", "response.failed"]
        assert "no such table" not in (await client.post(PATH, json={**BODY, "stream": False})).text
    assert "no such table" in caplog.text
