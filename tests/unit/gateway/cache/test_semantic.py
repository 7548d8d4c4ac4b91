"""Near questions, through the app: only the words of the last question may differ, and only of one owner."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import numpy as np
import pytest

from cluster.errors import EngineFailure
from cluster.types import EmbeddingCall, Embeddings
from deployments.gateway.cache import semantic
from deployments.gateway.cache.semantic import nearest
from tests.unit.gateway.cache.house import Counted, House, chunks, outcome
from tests.unit.gateway.conftest import started

QUESTION = "What is the capital of France?"
SAME = "what is the capital of france"  # the embedder of these tests reads neither case nor marks
NEARLY = "What is the capital city of France?"
SYSTEM = {"role": "system", "content": "Be brief."}


def user(content: Any) -> dict[str, Any]:
    return {"role": "user", "content": content}


async def house_with(**semantic: Any) -> House:
    return House(Counted((await started()).engine), semantic={"enabled": True, **semantic})


@pytest.fixture
async def near() -> AsyncIterator[House]:
    house = await house_with()
    async with house.client:
        yield house


def cosine(house: House, one: str, other: str) -> float:
    a, b = house.embedder.engine.embed((one, other)).vectors
    return float(a @ b)


async def test_a_near_question_has_the_stored_answer(near: House) -> None:
    first = await near.ask(messages=[user(QUESTION)])
    second = await near.ask(messages=[user(SAME)])
    assert (outcome(first), outcome(second), near.model.asked) == ("miss", "semantic", 1)
    assert second.json() == first.json()


async def test_the_same_question_is_a_hit_and_is_not_embedded(near: House) -> None:
    await near.ask(messages=[user(QUESTION)])
    embedded = len(near.embedder.inputs)
    assert outcome(await near.ask(messages=[user(QUESTION)])) == "hit"
    assert len(near.embedder.inputs) == embedded == 1


async def test_a_near_question_is_streamed_its_answer(near: House) -> None:
    await near.ask(messages=[user(QUESTION)])
    stream = await near.ask(messages=[user(SAME)], stream=True, stream_options={"include_usage": True})
    assert outcome(stream) == "semantic"
    assert chunks(stream)[-1]["usage"]["total_tokens"] > 0


async def test_a_streamed_answer_is_for_near_questions_too(near: House) -> None:
    await near.ask(messages=[user(QUESTION)], stream=True)
    assert outcome(await near.ask(messages=[user(SAME)], stream=True)) == "semantic"
    assert outcome(await near.ask(messages=[user(SAME)])) == "miss"  # its usage is not known


async def test_nobody_has_what_another_owner_asked(near: House) -> None:
    await near.ask({"x-owner": "a"}, messages=[user(QUESTION)])
    assert outcome(await near.ask({"x-owner": "b"}, messages=[user(SAME)])) == "miss"
    assert outcome(await near.ask({"x-owner": "a"}, messages=[user(SAME)])) == "semantic"


@pytest.mark.parametrize(("above", "expected"), [(0.0, "semantic"), (0.001, "miss")])
async def test_the_threshold_is_the_least_cosine(above: float, expected: str) -> None:
    alike = cosine(await house_with(), QUESTION, NEARLY)
    assert 0.8 < alike < 0.99
    house = await house_with(threshold=alike + above)
    async with house.client:
        await house.ask(messages=[user(QUESTION)])
        assert outcome(await house.ask(messages=[user(NEARLY)])) == expected


async def test_by_default_one_word_more_is_another_question(near: House) -> None:
    await near.ask(messages=[user(QUESTION)])
    assert outcome(await near.ask(messages=[user(NEARLY)])) == "miss"


async def test_at_a_threshold_of_one_an_equal_vector_is_near() -> None:
    house = await house_with(threshold=1)
    async with house.client:
        await house.ask(messages=[user(QUESTION)])
        assert outcome(await house.ask(messages=[user(SAME)])) == "semantic"


@pytest.mark.parametrize(
    "change",
    [
        {"messages": [SYSTEM, user(SAME)]},
        {"messages": [{**SYSTEM, "content": "Be long."}, user(SAME)]},
        {"messages": [user("Hello"), {"role": "assistant", "content": "Hello!"}, user(SAME)]},
        {"messages": [{**user(SAME), "name": "ann"}]},
        {"messages": [user([{"type": "text", "text": SAME}])]},
        {"temperature": 1, "seed": 1},
        {"max_tokens": 5},
        {"stop": "x"},
        {"n": 2},
    ],
)
async def test_all_but_the_words_must_be_equal(near: House, change: dict[str, Any]) -> None:
    await near.ask(messages=[user(QUESTION)])
    assert outcome(await near.ask(**{"messages": [user(SAME)], **change})) == "miss"


async def test_a_question_with_another_number_is_another() -> None:
    house = await house_with(threshold=0.5)
    async with house.client:
        await house.ask(messages=[user("how much is 2 plus 2 and why is it so")])
        assert outcome(await house.ask(messages=[user("how much is 2 plus 3 and why is it so")])) == "miss"
        assert outcome(await house.ask(messages=[user("How much is 2 plus 2, and why is it so?")])) == "semantic"


async def test_earlier_turns_that_are_equal_make_no_difference(near: House) -> None:
    before = [SYSTEM, user("Hello"), {"role": "assistant", "content": "Hello!"}]
    await near.ask(messages=[*before, user(QUESTION)])
    assert outcome(await near.ask(messages=[*before, user(SAME)])) == "semantic"


@pytest.mark.parametrize(
    "last",
    [
        {"role": "assistant", "content": QUESTION},
        user([{"type": "text", "text": QUESTION}, {"type": "text", "text": "?"}]),
    ],
)
async def test_what_is_no_plain_question_is_only_found_exactly(near: House, last: dict[str, Any]) -> None:
    answer = await near.ask(messages=[user("a"), last])
    assert answer.status_code == 200
    assert outcome(await near.ask(messages=[user("a"), last])) == "hit"
    assert near.embedder.inputs == []


async def test_what_may_come_out_differently_is_not_answered_by_a_near_question(near: House) -> None:
    await near.ask(messages=[user(QUESTION)])
    assert outcome(await near.ask(messages=[user(SAME)], temperature=0.7)) is None


async def test_no_store_neither_finds_nor_leaves_a_question(near: House) -> None:
    no_store = {"cache-control": "no-store"}
    await near.ask(no_store, messages=[user(QUESTION)])
    assert outcome(await near.ask(messages=[user(SAME)])) == "miss"
    assert outcome(await near.ask(no_store, messages=[user(QUESTION)])) is None


async def test_no_cache_asks_the_model_and_leaves_the_question(near: House) -> None:
    no_cache = {"cache-control": "no-cache"}
    assert outcome(await near.ask(no_cache, messages=[user(QUESTION)])) == "miss"
    assert outcome(await near.ask(no_cache, messages=[user(SAME)])) == "miss"
    assert outcome(await near.ask(messages=[user(SAME.upper())])) == "semantic"


async def test_an_answer_that_was_near_is_not_the_start_of_another_step() -> None:
    words = QUESTION.rstrip("?")
    house = await house_with(threshold=0.9)
    steps = [words, f"{words} please", f"{words} please now"]
    assert cosine(house, steps[0], steps[1]) > 0.9 < cosine(house, steps[1], steps[2])
    assert cosine(house, steps[0], steps[2]) < 0.9
    async with house.client:
        found = [outcome(await house.ask(messages=[user(step)])) for step in steps]
    assert found == ["miss", "semantic", "miss"]


async def test_a_new_revision_has_no_old_questions(near: House) -> None:
    await near.ask(messages=[user(QUESTION)])
    near.chats._stale.add("echo")
    near.model.revision = "r2"
    assert outcome(await near.ask(messages=[user(SAME)])) == "miss"


async def test_an_owners_oldest_question_is_forgotten_over_the_bound() -> None:
    house = await house_with(max_entries=1)
    async with house.client:
        await house.ask(messages=[user(QUESTION)])
        await house.ask(messages=[user("Who wrote Faust")])
        assert outcome(await house.ask(messages=[user("who wrote Faust?")])) == "semantic"
        assert outcome(await house.ask(messages=[user(SAME)])) == "miss"


async def test_a_question_whose_answer_is_gone_is_a_miss() -> None:
    house = House(Counted((await started()).engine), semantic={"enabled": True}, max_entries=1)
    async with house.client:
        await house.ask(messages=[user(QUESTION)])
        await house.ask(messages=[user("Who wrote Faust")])
        assert outcome(await house.ask(messages=[user(SAME)])) == "miss"


async def test_after_its_time_a_question_is_a_miss() -> None:
    house = House(Counted((await started()).engine), semantic={"enabled": True}, ttl_s=0.02)
    async with house.client:
        await house.ask(messages=[user(QUESTION)])
        await asyncio.sleep(0.03)
        assert outcome(await house.ask(messages=[user(SAME)])) == "miss"


async def test_an_embedder_that_fails_is_a_miss_and_left_alone_for_a_while(near: House) -> None:
    calls = 0

    async def fail(call: EmbeddingCall) -> Embeddings:
        nonlocal calls
        calls += 1
        raise EngineFailure("broken")

    near.embedder.embed = fail  # type: ignore[method-assign]
    for question in (QUESTION, SAME):
        answer = await near.ask(messages=[user(question)])
        assert (answer.status_code, outcome(answer)) == (200, "miss")
    assert calls == 1


async def test_an_embedder_that_hangs_is_not_waited_for(near: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(semantic, "PATIENCE_S", 0.01)

    async def hang(call: EmbeddingCall) -> Embeddings:
        await asyncio.Event().wait()
        raise AssertionError

    near.embedder.embed = hang  # type: ignore[method-assign]
    assert outcome(await near.ask(messages=[user(QUESTION)])) == "miss"


async def test_a_text_that_cannot_be_embedded_is_a_miss_and_the_next_is_embedded(near: House) -> None:
    assert outcome(await near.ask(messages=[user("  ")])) == "miss"
    await near.ask(messages=[user(QUESTION)])
    assert outcome(await near.ask(messages=[user(SAME)])) == "semantic"


async def test_a_text_that_is_longer_than_the_embedder_reads_is_only_found_exactly(near: House) -> None:
    long = "word " * 8200
    await near.ask(messages=[user(long + "yes")], max_tokens=1)
    assert outcome(await near.ask(messages=[user(long + "no")], max_tokens=1)) == "miss"


async def test_many_at_once_embed_and_generate_once(near: House) -> None:
    await near.ask(messages=[user(QUESTION)])
    found = await asyncio.gather(*(near.ask(messages=[user(SAME)]) for _ in range(5)))
    assert [outcome(answer) for answer in found] == ["semantic"] * 5
    assert (near.model.asked, near.embedder.inputs) == (1, [QUESTION, SAME])


async def test_an_embedding_of_another_length_is_not_compared() -> None:
    one = np.eye(1, 4, dtype="<f4").tobytes()
    assert nearest(one, {"a": np.eye(1, 8, dtype="<f4").tobytes()}, 0.5) == []


async def test_the_nearest_comes_first() -> None:
    def at(degrees: float) -> bytes:
        angle = np.deg2rad(degrees)
        return np.array([np.cos(angle), np.sin(angle)], dtype="<f4").tobytes()

    assert nearest(at(0), {"far": at(40), "out": at(70), "near": at(-10)}, 0.5) == ["near", "far"]
