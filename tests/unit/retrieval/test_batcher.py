import asyncio
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

from cluster.errors import BadRequest
from cluster.types import Embeddings
from deployments.retrieval.batcher import MAX_INPUTS, Batcher
from tests.unit.waiting import until


class Model:
    """Vectors that say the input's length; records its batches, and can be held."""

    def __init__(self) -> None:
        self.batches: list[tuple[Any, ...]] = []
        self.gate = threading.Event()
        self.gate.set()
        self.asked = threading.Event()

    def compute(self, inputs: Sequence[Any]) -> Embeddings:
        self.asked.set()
        self.gate.wait(20)
        self.batches.append(tuple(inputs))
        if "bad" in inputs:
            raise BadRequest("bad input")
        vectors = np.array([[len(item)] for item in inputs], dtype=np.float32)
        truncated = sum(len(item) > 9 for item in inputs)
        return Embeddings(vectors=vectors, tokens=tuple(len(item) for item in inputs), truncated=truncated)


async def together(model: Model, *calls: tuple[Any, ...]) -> list[Any]:
    """The answers of calls that all wait while the model is busy with the first."""
    batcher = Batcher(model.compute, ThreadPoolExecutor(1))
    model.gate.clear()
    tasks = [asyncio.create_task(batcher.embed(calls[0]))]
    await until(model.asked.is_set)
    tasks += [asyncio.create_task(batcher.embed(call)) for call in calls[1:]]
    await asyncio.sleep(0)  # each has run to where it waits
    model.gate.set()
    return await asyncio.gather(*tasks, return_exceptions=True)


async def test_calls_that_wait_are_computed_together_and_each_gets_its_own() -> None:
    model = Model()
    answers = await together(model, ("a",), ("bb", "ccc"), ("dddd",))
    assert [answer.tokens for answer in answers] == [(1,), (2, 3), (4,)]
    assert [answer.vectors[:, 0].tolist() for answer in answers] == [[1], [2, 3], [4]]
    assert model.batches == [("a",), ("bb", "ccc", "dddd")]


async def test_a_wrong_input_fails_its_own_call_only() -> None:
    answers = await together(Model(), ("a",), ("bad",), ("cc",))
    assert isinstance(answers[1], BadRequest)
    assert answers[2].tokens == (2,)


async def test_texts_and_token_ids_never_share_a_batch() -> None:
    model = Model()
    await together(model, ("a",), ("b",), ((1, 2),), ("c",))
    assert model.batches == [("a",), ("b",), ((1, 2),), ("c",)]


async def test_what_was_truncated_is_counted_call_by_call() -> None:
    answers = await together(Model(), ("a",), ("b",), ("c" * 10, "d"))
    assert [answer.truncated for answer in answers] == [0, 0, 1]


async def test_a_batch_has_an_upper_size() -> None:
    model = Model()
    await together(model, ("a",), *[("b",) * (MAX_INPUTS // 2)] * 3)
    assert [len(batch) for batch in model.batches] == [1, MAX_INPUTS, MAX_INPUTS // 2]


async def test_who_hung_up_is_not_computed() -> None:
    model = Model()
    batcher = Batcher(model.compute, ThreadPoolExecutor(1))
    model.gate.clear()
    first = asyncio.create_task(batcher.embed(("a",)))
    await until(model.asked.is_set)
    gone = asyncio.create_task(batcher.embed(("gone",)))
    await asyncio.sleep(0)
    gone.cancel()
    await asyncio.sleep(0)
    model.gate.set()
    await first
    assert model.batches == [("a",)]
    with pytest.raises(asyncio.CancelledError):
        await gone
