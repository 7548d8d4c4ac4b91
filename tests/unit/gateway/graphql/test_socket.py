"""Subscriptions over graphql-transport-ws: streams, their ends, and what is no protocol at all."""

import asyncio
from typing import Any

import pytest

from cluster.types import ModelEvent
from deployments.clients import Backends, ChatModel
from deployments.gateway.graphql import subscriptions
from deployments.gateway.models.claims import Claims
from deployments.gateway.models.on_demand import Available, unloaded
from tests.unit.gateway.graphql.house import House, Talk, endless, house, idle, settings, shared
from tests.unit.gateway.models.test_on_demand import Fleet
from tests.unit.gateway.models.test_on_demand import started as named
from tests.unit.waiting import until

STREAM = """subscription ($input: MessageInput!) { streamMessage(input: $input) {
  number kind text session { id status } answer { message { content } usage { completionTokens } } } }"""
FOLLOW = "subscription ($id: ID!, $after: Int!) { streamSession(id: $id, after: $after) { number kind text } }"


@pytest.fixture
async def home() -> House:
    return await shared(__name__)


async def asked(home: House, talk: Talk, content: str = "one two three", name: str = "1", **fields: Any) -> None:
    given = {"conversationId": await home.conversation(), "content": content, **fields}
    await talk.subscribe(STREAM, {"input": given}, name=name)


async def test_a_message_is_answered_as_it_comes(home: House) -> None:
    talk = await home.talk().init()
    await asked(home, talk)
    read = await talk.all()
    events = [message["payload"]["data"]["streamMessage"] for message in read[:-1]]
    assert [event["number"] for event in events] == list(range(1, len(events) + 1))
    assert (events[0]["kind"], events[0]["session"]["status"]) == ("session", "active")
    assert "".join(event["text"] or "" for event in events) == "one two three"
    assert events[-1]["kind"] == "done"
    assert events[-1]["answer"] == {"message": {"content": "one two three"}, "usage": {"completionTokens": 3}}
    assert read[-1] == {"id": "1", "type": "complete"}
    await talk.subscribe(FOLLOW, {"id": events[0]["session"]["id"], "after": 3}, name="2")
    again = [message["payload"]["data"]["streamSession"]["number"] for message in (await talk.all())[:-1]]
    assert again == list(range(4, len(events) + 1))
    await talk.hang_up()


async def test_an_answer_that_fails_ends_with_its_error(home: House) -> None:
    talk = await home.talk().init()
    await asked(home, talk, "word " * 500)
    [error] = (await talk.all())[-1]["payload"]
    assert error["extensions"]["code"] == "context_length_exceeded"
    assert error["extensions"]["requestId"]
    await talk.subscribe(FOLLOW, {"id": "strm_" + "0" * 24, "after": 0})
    assert (await talk.next())["payload"][0]["extensions"]["code"] == "stream_session_not_found"
    await talk.hang_up()


async def test_queries_and_mutations_are_answered_with_one_event(home: House) -> None:
    talk = await home.talk().init()
    await talk.subscribe('{ model(id: "echo") { id } nope: model(id: "nope") { id } }')
    [answer, end] = await talk.all()
    assert answer["payload"]["data"] == {"model": {"id": "echo"}, "nope": None}
    assert answer["payload"]["errors"][0]["extensions"]["code"] == "model_not_found"
    assert end["type"] == "complete"
    await talk.hang_up()


@pytest.mark.parametrize(
    ("payload", "code"),
    [
        ({"query": "{"}, "graphql_parse_failed"),
        ({"query": "{ nope }"}, "graphql_validation_failed"),
        ({"query": "{" * 100}, "graphql_too_complex"),
        ({"query": "query ($a: Int!) { conversations(limit: $a) { total } }"}, "graphql_validation_failed"),
        ({"query": "subscription ($a: ID!) { batchProgress(id: $a) { id } }"}, "graphql_validation_failed"),
        (
            {"query": "subscription { a: modelStatus { what } b: modelStatus { what } }"},
            "graphql_validation_failed",
        ),
        ({"query": "subscription { modelStatus { what } }"}, "not_found"),
        ({}, "invalid_request"),
        ({"query": 1}, "invalid_request"),
        ({"query": "{ __typename }", "variables": 1}, "invalid_request"),
    ],
)
async def test_an_operation_that_cannot_run_is_an_error_of_its_own(home: House, payload: Any, code: str) -> None:
    talk = await home.talk().init()
    await talk.send(type="subscribe", id="x", payload=payload)
    message = await talk.next()
    assert (message["id"], message["type"]) == ("x", "error")
    assert message["payload"][0]["extensions"]["code"] == code
    await talk.subscribe("{ __typename }")
    assert await talk.data() == {"__typename": "Query"}
    await talk.hang_up()


@pytest.mark.parametrize(
    ("frame", "code"),
    [
        ({"text": ""}, 4400),
        ({"text": "{"}, 4400),
        ({"text": "[]"}, 4400),
        ({"text": "null"}, 4400),
        ({"text": "[" * 10_000}, 4400),
        ({"text": '"\\ud800"'}, 4400),
        ({"text": '{"type": 1}'}, 4400),
        ({"text": '{"type": "what"}'}, 4400),
        ({"text": '{"type": "\\u0000"}'}, 4400),
        ({"text": '{"type": "connection_init"}'}, 4429),
        ({"text": '{"type": "subscribe"}'}, 4400),
        ({"text": '{"type": "subscribe", "id": 1, "payload": {}}'}, 4400),
        ({"text": '{"type": "subscribe", "id": "", "payload": {}}'}, 4400),
        ({"text": '{"type": "subscribe", "id": "1", "payload": []}'}, 4400),
        ({"text": '{"type": "complete"}'}, 4400),
        ({"bytes": b"\xff\x00"}, 4400),
    ],
)
async def test_junk_closes_the_socket_with_the_protocols_code(home: House, frame: Any, code: int) -> None:
    talk = await home.talk().init()
    await talk.raw(**frame)
    assert (await talk.end())[0] == code


async def test_a_client_that_offers_no_protocol_that_is_known_is_refused(home: House) -> None:
    for protocols in ((), ("graphql-ws",), ("chat",)):
        talk = home.talk(protocols=protocols)
        assert (await talk.end())[0] == 4406
        assert talk.protocol is None


async def test_a_client_that_says_nothing_is_not_waited_for() -> None:
    hasty = await house(graphql={"init_timeout_s": 0.01})
    assert (await hasty.talk().end())[0] == 4408


async def test_pings_are_answered_and_pongs_let_be(home: House) -> None:
    talk = home.talk()
    await talk.send(type="ping")
    assert await talk.next() == {"type": "pong"}
    await talk.init()
    await talk.send(type="pong")
    await talk.send(type="ping", payload={"a": 1})
    assert await talk.next() == {"type": "pong"}
    await talk.send(type="complete", id="unknown")
    await talk.hang_up()


async def test_an_id_that_is_in_use_closes_the_socket() -> None:
    home = await endless()
    talk = await home.talk().init()
    await asked(home, talk)
    await talk.data()
    await talk.subscribe("{ __typename }")
    assert (await talk.end())[0] == 4409


async def test_a_completed_operation_ends_and_its_id_is_free() -> None:
    home = await endless(conversations={"flush_ms": 5, "resume_grace_s": 0.01})
    talk = await home.talk().init()
    await asked(home, talk)
    await talk.data()
    await until(lambda: home.model.engine.running == 1)
    await talk.send(type="complete", id="1")
    await idle(home)
    await talk.subscribe("{ __typename }", name="2")
    message = await talk.next()
    while message["id"] == "1":  # what was on its way
        message = await talk.next()
    assert message["payload"]["data"] == {"__typename": "Query"}
    await talk.hang_up()


async def test_a_client_that_goes_leaves_nothing_running() -> None:
    home = await endless(conversations={"flush_ms": 5, "resume_grace_s": 0.01})
    talk = await home.talk().init()
    for number in range(3):
        await asked(home, talk, name=str(number))
    await until(lambda: home.model.engine.running == 3)
    await talk.hang_up()
    await idle(home)


async def test_more_operations_than_allowed_at_once_are_refused_and_the_others_go_on() -> None:
    home = await endless(graphql={"max_operations": 1})
    talk = await home.talk().init()
    await asked(home, talk, name="1")
    assert (await talk.data())["streamMessage"]["kind"] == "session"
    await talk.subscribe("{ __typename }", name="2")
    message = await talk.next()
    while message["id"] == "1":
        message = await talk.next()
    assert (message["type"], message["payload"][0]["extensions"]["code"]) == ("error", "rate_limit_exceeded")
    assert message["payload"][0]["extensions"]["retryAfter"] > 0
    await talk.hang_up()


async def test_another_owners_answer_cannot_be_followed(home: House) -> None:
    talk = await home.talk(x_owner="ann").init()
    made = await home.conversation(x_owner="ann")
    await talk.subscribe(STREAM, {"input": {"conversationId": made, "content": "one"}})
    session = (await talk.data())["streamMessage"]["session"]["id"]
    other = await home.talk(x_owner="bob").init()
    await other.subscribe(FOLLOW, {"id": session, "after": 0})
    assert (await other.next())["payload"][0]["extensions"]["code"] == "stream_session_not_found"
    for one in (talk, other):
        await one.hang_up()


async def test_a_batchs_progress_is_told_until_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    from cluster.stores.experiments import Experiments, Standing

    monkeypatch.setattr(subscriptions, "LOOK_S", 0.005)
    home = await house()
    spec = {"name": "s", "prompt": "hello", "model": "echo", "parameter_ranges": {"temperature": [0, 1]}}
    started = await home.ask(
        "mutation ($s: JSON!) { startBatch(input: {spec: $s}) { id } }".replace("JSON!", "JSON"), {"s": spec}
    )
    [submission] = home.jobs.submitted
    talk = await home.talk().init()
    progress = "subscription ($id: ID!) { batchProgress(id: $id) { status progress completed done } }"
    await talk.subscribe(progress, {"id": started["startBatch"]["id"]})
    assert (await talk.data())["batchProgress"]["progress"] == 0
    store, number = Experiments(home.database), int(started["startBatch"]["id"])
    half = Standing(
        completed=1,
        failed=0,
        cells_per_minute=None,
        current_parameters=None,
        summary=None,
        estimated_completion=None,
    )
    store.advance(number, submission, half)
    assert (await talk.data())["batchProgress"]["progress"] == 50
    store.finish(number, submission, status="completed")
    assert (await talk.data())["batchProgress"] == {
        "status": "completed", "progress": 50, "completed": 1, "done": True
    }  # fmt: skip
    assert (await talk.next())["type"] == "complete"
    await talk.hang_up()


class Eventful(Fleet):
    """A fleet to which two things have happened, and then no more."""

    waited = 0

    async def changed(self, after: int, timeout_s: float) -> tuple[ModelEvent, ...]:
        if after >= 2:
            self.waited += 1
            try:
                await asyncio.sleep(timeout_s)
            finally:
                self.waited -= 1
        names = {1: "big", 2: "other"}
        return tuple(
            ModelEvent(number=number, at=1.0, model=name, what="ready", reason="in 1 s")
            for number, name in names.items()
            if number > after
        )


@pytest.fixture
async def fleet() -> tuple[House, Eventful]:
    shelf, big = Eventful(), await named("big")
    connected: dict[str, ChatModel] = {"big": big}
    card = unloaded("big", engine="scripted", context_length=64, images=False, memory_gib=1.0)
    echo = await named("echo")
    claims = Claims(shelf, connected.__getitem__, linger_s=0.01)
    models = Available({"echo": echo}, claims, lambda: {"big": card})
    return House(echo, settings(), Backends(models=models, fleet=shelf)), shelf


async def test_a_model_is_loaded_and_unloaded(fleet: tuple[House, Eventful]) -> None:
    home, shelf = fleet
    listed = await home.ask("{ availableModels { id state isLoaded metadata { size memoryUsage } } }")
    assert listed["availableModels"][1] == {
        "id": "big", "state": "unloaded", "isLoaded": False, "metadata": {"size": 2.0**30, "memoryUsage": 0}
    }  # fmt: skip
    await home.ask('mutation { loadModel(id: "big", pin: true, keepAlive: "10m") { id state } }')
    await home.ask('mutation { unloadModel(id: "big", force: true) { id } }')
    assert shelf.asked == [("load big", (True, 600.0)), ("unload big", True)]
    error = await home.refused('mutation { loadModel(id: "big", keepAlive: "soon") { id } }')
    assert (error["code"], error["param"]) == ("invalid_request", "keepAlive")
    assert (await home.refused('mutation { loadModel(id: "bog") { id } }'))["code"] == "model_not_found"


async def test_what_happens_to_models_is_told_until_the_client_goes(fleet: tuple[House, Eventful]) -> None:
    home, shelf = fleet
    talk = await home.talk().init()
    await talk.subscribe("subscription { modelStatus { number model what reason at } }", name="all")
    assert [(await talk.data())["modelStatus"]["model"] for _ in range(2)] == ["big", "other"]
    await talk.subscribe('subscription { modelStatus(id: "big") { number model } }', name="one")
    assert (await talk.data())["modelStatus"] == {"number": 1, "model": "big"}
    await until(lambda: shelf.waited == 2)
    await talk.hang_up()
    assert shelf.waited == 0
