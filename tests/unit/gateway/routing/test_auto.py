"""`auto` as a model's name, through the whole app."""

import json
from typing import Any

import pytest

from cluster.errors import EngineDead, EngineFailure
from deployments.gateway import retries
from deployments.gateway.limits.admission import ModelQueue
from deployments.gateway.principal import Principal, Role
from deployments.gateway.routing.auto_policy import Need
from tests.unit.engines.pictures import encoded, plain, url
from tests.unit.gateway.routing.conftest import House, house

TWO: dict[str, dict[str, Any]] = {"words": {}, "eye": {}}
SEES = {"eye": {"images": True}}
PICTURE = [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": url(encoded(plain()))}}]}]


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retries, "BACKOFF_S", 0.0)
    monkeypatch.setattr(retries, "DEAD_BACKOFF_S", 0.0)


async def two(**more: Any) -> House:
    return await house(TWO, scripts=SEES, **more)


async def test_words_go_to_the_model_of_words_and_pictures_to_the_one_that_sees() -> None:
    gateway = await two()
    said = await gateway.ask("auto")
    assert (said.status_code, said.json()["model"]) == (200, "words")
    assert said.headers["x-heliostat-route"] == "auto -> words; reason=task"
    seen = await gateway.ask("auto", messages=PICTURE)
    assert (seen.status_code, seen.json()["model"]) == (200, "eye")
    assert seen.headers["x-heliostat-route"] == "auto -> eye; reason=only"


async def test_a_stream_names_the_model_that_answers() -> None:
    gateway = await two()
    answer = await gateway.ask("auto", messages=PICTURE, stream=True)
    first = json.loads(answer.text.split("\n\n")[0].removeprefix("data: "))
    assert first["model"] == "eye"
    assert answer.headers["x-heliostat-route"] == "auto -> eye; reason=only"


async def test_one_event_tells_of_all_candidates_and_why_they_were_passed_over() -> None:
    gateway = await two()
    await gateway.ask("auto", messages=PICTURE, headers={"x-request-id": "r-1"})
    [event] = gateway.events("route")
    assert (event.model, event.reason, event.request_id) == ("eye", "auto", "r-1")
    assert event.inputs["needs"]["images"] is True
    told = {one["model"]: one["passed_over"] for one in event.inputs["candidates"]}
    assert told == {"words": "it sees no pictures", "eye": None}


async def test_a_longer_prompt_goes_to_a_longer_context() -> None:
    gateway = await house({"short": {}, "long": {}}, contexts={"short": 64, "long": 4096})
    words = [{"role": "user", "content": "word " * 200}]
    assert (await gateway.ask("auto", messages=words)).json()["model"] == "long"
    assert (await gateway.ask("auto")).json()["model"] == "short"


async def test_a_model_whose_breaker_is_open_is_passed_over() -> None:
    gateway = await house({"a": {}, "b": {}}, routing={"breaker": {"failures": 1}})
    gateway.models["a"].failing = EngineDead("dead")
    await gateway.ask("a")
    calls = gateway.models["a"].calls
    answer = await gateway.ask("auto")
    assert (answer.json()["model"], gateway.models["a"].calls) == ("b", calls)
    assert answer.headers["x-heliostat-route"] == "auto -> b; reason=available"


async def test_a_model_that_does_not_tell_its_card_is_passed_over() -> None:
    gateway = await house({"a": {}, "b": {}})
    gateway.models["a"].failing, gateway.models["a"].cardless = EngineDead("dead"), True
    answer = await gateway.ask("auto")
    assert (answer.json()["model"], gateway.models["a"].calls) == ("b", 0)


async def test_where_the_chosen_model_fails_another_that_can_do_it_answers() -> None:
    gateway = await house({"a": {}, "b": {}})
    gateway.models["a"].failing = EngineFailure("broke")
    answer = await gateway.ask("auto")
    assert (answer.status_code, answer.json()["model"]) == (200, "b")
    assert answer.headers["x-heliostat-route"] == "auto -> a -> b; reason=engine_error"


async def test_a_model_where_requests_wait_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    gateway = await house({"a": {}, "b": {}})
    monkeypatch.setattr(
        ModelQueue, "predicted_wait_s", lambda self, _: 3.0 if self is gateway.gate.queue("a") else 0.0
    )
    answer = await gateway.ask("auto")
    assert (answer.json()["model"], answer.headers["x-heliostat-route"]) == ("b", "auto -> b; reason=queue")


async def test_where_no_model_can_do_it_the_error_names_what_is_missing() -> None:
    gateway = await house({"a": {}, "b": {}})
    missing: list[tuple[dict[str, Any], str, str]] = [
        ({"messages": PICTURE}, "messages", "No model here sees pictures: a, b"),
        ({"tools": [{"type": "function", "function": {"name": "f"}}]}, "tools", "No model here calls functions"),
        ({"top_k": 3}, "top_k", "No model here honours top_k"),
    ]
    for fields, param, said in missing:
        answer = await gateway.ask("auto", **fields)
        error = answer.json()["error"]
        assert (answer.status_code, error["code"], error["param"]) == (400, "no_capable_model", param)
        assert error["message"].startswith(said)
    assert [event.model for event in gateway.events("route")] == ["auto"] * 3


async def test_where_the_prompt_is_too_long_for_all_the_code_is_that_of_a_prompt_that_is_too_long() -> None:
    gateway = await house({"a": {}})
    answer = await gateway.ask("auto", messages=[{"role": "user", "content": "word " * 2000}])
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "context_length_exceeded")


async def test_where_each_lacks_something_else_the_error_tells_what() -> None:
    gateway = await house(TWO, scripts=SEES, contexts={"eye": 64, "words": 10**6})
    answer = await gateway.ask("auto", messages=[*PICTURE, {"role": "user", "content": "word " * 2000}])
    error = answer.json()["error"]
    assert error["code"] == "no_capable_model"
    assert "words: it sees no pictures" in error["message"]
    assert "eye: its context of 64 tokens" in error["message"]


async def test_only_models_that_the_asker_may_ask_are_candidates() -> None:
    gateway = await house({"a": {}, "b": {}})
    auto = _auto(gateway)
    bound = Principal(id="k", owner="o", role=Role.USER, models=frozenset({"b"}))
    assert (await auto.of(Need(), bound)).model == "b"
    with pytest.raises(Exception, match="no chat model here to choose"):
        await auto.of(Need(), Principal(id="k", owner="o", role=Role.USER, models=frozenset({"hash"})))


async def test_the_config_narrows_and_orders_the_candidates() -> None:
    gateway = await house({"a": {}, "b": {}, "c": {}}, routing={"auto": {"models": ["c", "b"]}})
    assert (await gateway.ask("auto")).json()["model"] == "c"
    gateway.models["c"].failing, gateway.models["c"].cardless = EngineDead("dead"), True
    fresh = await house({"a": {}, "b": {}}, routing={"auto": {"models": ["b"]}})
    assert (await fresh.ask("auto")).json()["model"] == "b"


async def test_a_name_of_the_config_that_is_nobodys_is_told() -> None:
    gateway = await house({"a": {}}, routing={"auto": {"models": ["typo", "a"]}})
    assert (await gateway.ask("auto")).json()["model"] == "a"
    [event] = gateway.events("route")
    assert event.inputs["unknown"] == ["typo"]


async def test_the_config_switches_it_off() -> None:
    gateway = await house({"a": {}}, routing={"auto": {"enabled": False}})
    answer = await gateway.ask("auto")
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "model_not_found")
    async with gateway.client() as client:
        listed = (await client.get("/v1/models")).json()["data"]
    assert [one["id"] for one in listed] == ["a"]


async def test_a_model_that_is_really_called_auto_is_that_model() -> None:
    gateway = await house({"a": {}, "auto": {}})
    answer = await gateway.ask("auto")
    assert answer.json()["model"] == "auto"
    assert "x-heliostat-route" not in answer.headers


async def test_it_is_listed_at_the_end_with_all_that_its_models_can_do() -> None:
    gateway = await two(contexts={"words": 128, "eye": 64})
    async with gateway.client() as client:
        listed = (await client.get("/v1/models")).json()["data"]
        one = (await client.get("/v1/models/auto")).json()
    assert [model["id"] for model in listed] == ["words", "eye", "auto"]
    assert listed[-1] == one
    assert (one["max_model_len"], one["capabilities"]) == (128, ["chat", "vision"])


async def test_every_api_that_chats_takes_it() -> None:
    gateway = await two()
    message = {"role": "user", "content": "one two"}
    bodies: list[tuple[str, dict[str, Any]]] = [
        ("/v1/responses", {"input": "one two"}),
        ("/v1/messages", {"max_tokens": 5, "messages": [message]}),
        ("/v1/completions", {"prompt": "one two", "max_tokens": 5}),
        ("/api/chat", {"messages": [message], "stream": False}),
        ("/api/generate", {"prompt": "one two", "stream": False}),
        ("/api/generate", {"prompt": "one two", "stream": False, "raw": True}),
    ]
    async with gateway.client() as client:
        for number, (path, body) in enumerate(bodies, start=1):
            answer = await client.post(path, json={"model": "auto", **body})
            assert (answer.status_code, answer.json()["model"]) == (200, "words"), answer.text
            assert answer.headers["x-heliostat-route"] == "auto -> words; reason=task"
            assert len(gateway.events("route")) == number


async def test_a_streamed_response_names_the_model_from_its_first_event() -> None:
    gateway = await two()
    async with gateway.client() as client:
        answer = await client.post("/v1/responses", json={"model": "auto", "input": "one", "stream": True})
    first = json.loads(answer.text.split("\n\n")[0].partition("data: ")[2])
    assert first["response"]["model"] == "words"


async def test_a_conversation_may_leave_the_choice_of_each_answer() -> None:
    gateway = await two()
    async with gateway.client() as client:
        talk = (await client.post("/api/v1/conversations", json={"model": "auto"})).json()["id"]
        path, last = f"/api/v1/conversations/{talk}/messages", []
        for content in ("hello", PICTURE[0]["content"], "and now"):
            last.append((await client.post(path, json={"content": content, "stream": False})).json())
    assert [one["message"]["model"] for one in last] == ["words", "eye", "eye"]  # the picture is shown again


def _auto(gateway: House) -> Any:
    """Of an app of its own over the same models: the app does not give its own away."""
    from deployments.clients import Backends
    from deployments.gateway.chats import Chats

    return Chats(Backends(models=gateway.models), gateway.settings, gate=gateway.gate, router=gateway.router).auto
