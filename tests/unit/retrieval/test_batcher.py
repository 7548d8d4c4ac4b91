import asyncio
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cluster.engines.reading import BATCH_TOKENS, Reading
from cluster.errors import BadRequest
from cluster.types import Embeddings
from deployments.retrieval.batcher import Batcher, shares
from tests.unit.waiting import until

ROOM = 9


class Model:
    """Vectors that say the input's length; an input costs a token, or as many as it names.

    Records its batches, and can be held.
    """

    def __init__(self) -> None:
        self.batches: list[tuple[Any, ...]] = []
        self.gate = threading.Event()
        self.gate.set()
        self.asked = threading.Event()
        self.batcher = Batcher(
            read=self.read, embed=self.embed, reader=ThreadPoolExecutor(1), computer=ThreadPoolExecutor(1)
        )

    def read(self, inputs: Sequence[Any]) -> Reading:
        if "unreadable" in inputs:
            raise BadRequest("unreadable")
        sizes = tuple(int(item) if isinstance(item, str) and item.isdigit() else 1 for item in inputs)
        return Reading(items=tuple(inputs), sizes=sizes, truncated=sum(len(item) > ROOM for item in inputs))

    def embed(self, inputs: Sequence[Any]) -> Embeddings:
        self.asked.set()
        self.gate.wait(20)
        self.batches.append(tuple(inputs))
        if "bad" in inputs:
            raise BadRequest("bad input")
        if "broken" in inputs:
            raise RuntimeError("broken")
        vectors = np.array([[len(item)] for item in inputs], dtype=np.float32)
        truncated = sum(len(item) > ROOM for item in inputs)
        return Embeddings(vectors=vectors, tokens=tuple(len(item) for item in inputs), truncated=truncated)

    async def together(self, *calls: tuple[Any, ...]) -> list[Any]:
        """The answers of calls that all wait while the model is busy with the first."""
        self.gate.clear()
        tasks = [asyncio.create_task(self.batcher.embed(calls[0]))]
        await until(self.asked.is_set)
        waiting = len(self.batcher._waiting)
        for call in calls[1:]:
            tasks.append(asyncio.create_task(self.batcher.embed(call)))
            waiting += "unreadable" not in call
            await until(lambda waiting=waiting: len(self.batcher._waiting) == waiting)
        self.gate.set()
        return await asyncio.gather(*tasks, return_exceptions=True)


async def test_calls_that_wait_are_computed_together_and_each_gets_its_own() -> None:
    model = Model()
    answers = await model.together(("a",), ("bb", "ccc"), ("dddd",))
    assert [answer.tokens for answer in answers] == [(1,), (2, 3), (4,)]
    assert [answer.vectors[:, 0].tolist() for answer in answers] == [[1], [2, 3], [4]]
    assert model.batches == [("a",), ("bb", "ccc", "dddd")]


async def test_what_cannot_be_read_fails_its_own_call_before_it_waits() -> None:
    model = Model()
    answers = await model.together(("a",), ("unreadable",), ("cc",))
    assert isinstance(answers[1], BadRequest)
    assert model.batches == [("a",), ("cc",)]


async def test_what_the_model_refuses_fails_its_own_call_only() -> None:
    answers = await Model().together(("a",), ("bad",), ("cc",))
    assert isinstance(answers[1], BadRequest)
    assert answers[2].tokens == (2,)


async def test_a_broken_model_fails_the_calls_of_the_batch_and_serves_the_next() -> None:
    model = Model()
    answers = await model.together(("a",), ("broken",), ("b",))
    assert [type(answer) for answer in answers] == [Embeddings, RuntimeError, RuntimeError]
    assert (await model.batcher.embed(("cc",))).tokens == (2,)


async def test_what_was_truncated_is_counted_call_by_call() -> None:
    answers = await Model().together(("a",), ("b",), ("c" * 10, "d"))
    assert [answer.truncated for answer in answers] == [0, 0, 1]


async def test_a_call_above_the_batch_is_computed_in_pieces_and_keeps_its_order() -> None:
    model = Model()
    large = tuple(str(size) for size in (BATCH_TOKENS // 2, 7, BATCH_TOKENS // 2, 123, BATCH_TOKENS))
    answer = await model.batcher.embed(large)
    assert answer.tokens == tuple(map(len, large))
    assert answer.vectors[:, 0].tolist() == list(map(len, large))
    assert len(model.batches) == 3


async def test_a_short_call_is_answered_while_a_long_one_is_computed() -> None:
    model = Model()
    half = str(BATCH_TOKENS // 4)
    order: list[str] = []

    async def named(name: str, call: tuple[str, ...]) -> None:
        await model.batcher.embed(call)
        order.append(name)

    model.gate.clear()
    book = asyncio.create_task(named("book", (half,) * 40))
    await until(model.asked.is_set)
    query = asyncio.create_task(named("query", ("12",)))
    await until(lambda: len(model.batcher._waiting) == 2)
    model.gate.set()
    await asyncio.gather(book, query)
    assert order == ["query", "book"]
    assert "12" in model.batches[1]


async def test_who_hung_up_is_not_computed() -> None:
    model = Model()
    model.gate.clear()
    first = asyncio.create_task(model.batcher.embed(("a",)))
    await until(model.asked.is_set)
    gone = asyncio.create_task(model.batcher.embed(("gone",)))
    await until(lambda: len(model.batcher._waiting) == 1)
    gone.cancel()
    await asyncio.sleep(0)
    model.gate.set()
    await first
    assert model.batches == [("a",)]
    with pytest.raises(asyncio.CancelledError):
        await gone


def test_many_short_calls_fill_a_batch_in_their_order() -> None:
    assert shares([[30]] * 8, 100) == [1, 1, 1, 0, 0, 0, 0, 0]


def test_each_of_several_long_calls_gives_its_share() -> None:
    assert shares([[10] * 50, [10] * 50], 100) == [6, 4]
    assert shares([[10] * 50, [10]], 100) == [9, 1]


def test_an_item_above_the_budget_goes_when_it_is_the_oldest_and_alone() -> None:
    assert shares([[500], [1]], 100) == [1, 0]
    assert shares([[1], [500]], 100) == [1, 0]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.lists(st.integers(1, 300), min_size=1, max_size=12), max_size=8), st.integers(1, 1000))
def test_shares_stay_within_the_budget_and_the_oldest_always_moves(sizes: list[list[int]], budget: int) -> None:
    counts = shares(sizes, budget)
    assert all(0 <= count <= len(own) for count, own in zip(counts, sizes, strict=True))
    taken = sum(sum(own[:count]) for count, own in zip(counts, sizes, strict=True))
    assert not sizes or counts[0] >= 1
    assert taken <= budget or sum(counts) == 1
