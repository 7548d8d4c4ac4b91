"""The response cache through the app: what is asked twice is generated once, and never for somebody else."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from deployments.clients import Backends
from deployments.gateway.cache.build import open_caches
from deployments.gateway.cache.keys import IRRELEVANT, chat_key, embedding_key
from deployments.gateway.chats import Chats
from deployments.gateway.principal import LOCAL
from deployments.gateway.wire import ChatRequest
from tests.unit.gateway.cache.house import ASKED, Counted, House, chunks, outcome, said
from tests.unit.gateway.conftest import settings_with, started


async def test_the_same_request_is_generated_once(house: House) -> None:
    first, second = await house.ask(), await house.ask()
    assert (outcome(first), outcome(second), house.model.asked) == ("miss", "hit", 1)
    assert first.json() == second.json()


async def test_a_whole_answer_is_replayed_as_a_stream(house: House) -> None:
    await house.ask()
    stream = await house.ask(stream=True, stream_options={"include_usage": True})
    assert (outcome(stream), house.model.asked) == ("hit", 1)
    assert stream.headers["content-type"].startswith("text/event-stream")
    assert said(stream) == "one two three"
    assert chunks(stream)[-1]["usage"] == {"prompt_tokens": 3, "completion_tokens": 3, "total_tokens": 6}


async def test_a_stream_with_usage_is_stored_as_a_whole_answer(house: House) -> None:
    first = await house.ask(stream=True, stream_options={"include_usage": True})
    whole = await house.ask()
    assert (outcome(first), outcome(whole), house.model.asked) == ("miss", "hit", 1)
    assert whole.json()["choices"][0]["message"]["content"] == "one two three"
    assert whole.json()["usage"]["total_tokens"] == 6


async def test_a_stream_without_usage_answers_only_those_who_want_none(house: House) -> None:
    await house.ask(stream=True)
    assert outcome(await house.ask(stream=True)) == "hit"
    assert outcome(await house.ask(stream=True, stream_options={"include_usage": True})) == "miss"
    assert outcome(await house.ask()) == "hit"


async def test_nobody_is_answered_with_what_another_owner_asked(house: House) -> None:
    await house.ask({"x-owner": "a"})
    await house.embed("one", {"x-owner": "a"})
    assert outcome(await house.ask({"x-owner": "b"})) == "miss"
    assert outcome(await house.ask({"x-owner": "b"}, stream=True)) == "hit"  # their own, of the line above
    assert outcome(await house.embed("one", {"x-owner": "b"})) == "miss"


@pytest.mark.parametrize(
    "fields", [{"temperature": None}, {"temperature": 0.7}, {"temperature": None, "top_p": 0.1}]
)
async def test_what_may_come_out_differently_is_not_cached(house: House, fields: dict[str, Any]) -> None:
    answers = [await house.ask(**fields) for _ in range(2)]
    assert [outcome(answer) for answer in answers] == [None, None]
    assert house.model.asked == 2


async def test_a_seed_makes_a_request_deterministic(house: House) -> None:
    answers = [await house.ask(temperature=1, seed=seed) for seed in (1, 1, 2)]
    assert [outcome(answer) for answer in answers] == ["miss", "hit", "miss"]


@pytest.mark.parametrize(
    "change",
    [{"max_tokens": 2}, {"stop": "two"}, {"n": 2}, {"messages": [{"role": "user", "content": "one two thre"}]}],
)
async def test_a_request_that_differs_is_another(house: House, change: dict[str, Any]) -> None:
    await house.ask()
    assert outcome(await house.ask(**change)) == "miss"


async def test_labels_and_what_is_done_anyway_do_not_matter(house: House) -> None:
    await house.ask()
    assert outcome(await house.ask(user="u", metadata={"a": "b"}, top_p=None)) == "hit"
    labels = {"prompt_cache_key": "p", "safety_identifier": "s"}
    anyway = {"store": False, "service_tier": "auto", "modalities": ["text"]}
    assert outcome(await house.ask(**labels, **anyway)) == "hit"


def test_every_field_that_is_irrelevant_is_one_of_a_request() -> None:
    assert set(ChatRequest.model_fields) >= IRRELEVANT


async def test_several_choices_are_replayed(house: House) -> None:
    await house.ask(n=2)
    stream = await house.ask(n=2, stream=True)
    assert outcome(stream) == "hit"
    assert {chunk["choices"][0]["index"] for chunk in chunks(stream)} == {0, 1}


async def test_no_store_is_neither_looked_up_nor_stored(house: House) -> None:
    no_store = {"cache-control": "No-Store"}
    assert outcome(await house.ask(no_store)) is None
    assert outcome(await house.ask()) == "miss"
    assert outcome(await house.ask(no_store)) is None
    assert house.model.asked == 3


async def test_no_cache_asks_the_model_and_stores(house: House) -> None:
    assert outcome(await house.ask({"cache-control": "no-cache"})) == "miss"
    assert outcome(await house.ask({"cache-control": "max-age=0, no-cache"})) == "miss"
    assert outcome(await house.ask()) == "hit"


async def test_an_error_is_not_stored() -> None:
    house = House(Counted((await started(fail_every=2)).engine))
    async with house.client:
        await house.ask(max_tokens=1)
        assert (await house.ask()).status_code == 500
        assert outcome(await house.ask()) == "miss"


async def test_a_stream_that_breaks_is_not_stored() -> None:
    house = House(Counted((await started(fail_after_tokens=1)).engine))
    async with house.client:
        assert "error" in (await house.ask(stream=True)).text
        await house.ask(stream=True)
    assert house.model.asked == 2


async def test_a_stream_that_nobody_reads_to_its_end_is_not_stored_and_stops() -> None:
    house = House(Counted((await started(token_delay_s=0.01)).engine))
    checked = await house.chats.check(json.dumps(ASKED).encode(), request_id="r", principal=LOCAL)
    events = house.chats.events(checked)
    await anext(events)
    await events.aclose()  # type: ignore[attr-defined]
    assert house.model.engine.running == 0
    assert house.chats.caches is not None
    await house.chats.caches.answers.settled()
    async with house.client:
        assert outcome(await house.ask()) == "miss"


async def test_an_answer_over_the_bound_is_not_stored() -> None:
    house = House(Counted((await started()).engine), max_entry_bytes=50)
    async with house.client:
        await house.ask()
        await house.ask(stream=True)
        assert outcome(await house.ask()) == "miss"


async def test_a_new_revision_has_no_old_answers() -> None:
    old = Counted((await started()).engine)
    house = House(old)
    async with house.client:
        await house.ask()
        house.chats._stale.add("echo")
        old.revision = "r2"
        assert outcome(await house.ask()) == "miss"


async def test_each_text_is_embedded_once(house: House) -> None:
    first = await house.embed(["one", "two"])
    second = await house.embed(["two", "three", "one"])
    third = await house.embed(["three", "two"])
    assert [outcome(answer) for answer in (first, second, third)] == ["miss", "miss", "hit"]
    assert house.embedder.inputs == ["one", "two", "three"]
    vectors = [item["embedding"] for item in second.json()["data"]]
    assert [item["embedding"] for item in first.json()["data"]] == [vectors[2], vectors[0]]
    anew = await house.embed(["three", "two"], {"cache-control": "no-store"})
    assert third.json() == anew.json()


async def test_a_text_and_its_token_ids_are_not_the_same(house: House) -> None:
    told = {"owner": "o", "model": "m", "revision": "r", "configured": ""}
    assert embedding_key("1", **told) != embedding_key((1,), **told)


def key_with(**changes: str) -> str:
    body = json.dumps({**ASKED, "seed": 1}).encode()
    return chat_key(body, **{"owner": "o", "model": "m", "revision": "r", "configured": "c", **changes})


@pytest.mark.parametrize("part", ["owner", "model", "revision", "configured"])
def test_each_part_of_a_key_matters(part: str) -> None:
    assert key_with() == key_with()
    assert key_with(**{part: "x"}) != key_with()


def test_parts_of_a_key_cannot_be_moved_into_one_another() -> None:
    assert key_with(owner="a", model="bc") != key_with(owner="ab", model="c")


def test_the_order_of_fields_does_not_matter() -> None:
    write: Callable[[Any], bytes] = lambda body: json.dumps(body).encode()  # noqa: E731
    told = {"owner": "o", "model": "m", "revision": "r", "configured": "c"}
    turned = dict(reversed(list(ASKED.items())))
    assert chat_key(write(ASKED), **told) == chat_key(write(turned), **told)


async def test_without_the_setting_nothing_is_cached_and_nothing_said() -> None:
    house = House(Counted((await started()).engine))
    assert open_caches(settings_with()) is None
    chats = Chats(Backends(models={"echo": house.model}), settings_with())
    checked = await chats.check(json.dumps(ASKED).encode(), request_id="r", principal=LOCAL)
    assert await chats.whole(checked) != b""
    assert await chats.whole(checked) != b""
    assert house.model.asked == 2
    await house.client.aclose()
