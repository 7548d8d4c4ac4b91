"""Calls that arrive while a model computes share the next batch, by tokens: no waiting, no timer.

    call ── read: checked, tokenised ──► waiting ── a share of BATCH_TOKENS for each ──► embed ──► its vectors
                (a thread of its own)              (one batch at a time)

A long call is computed piece by piece with the short ones between, so a query never waits for a whole book.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from cluster.engines.reading import BATCH_TOKENS, Reading
from cluster.errors import HeliostatError
from cluster.types import Embeddings

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Given = TypeVar("Given")


@dataclass(slots=True, kw_only=True, eq=False)
class _Call:
    """A call with what is still to compute of it: places, the longest first, so that alike ones come together."""

    reading: Reading
    future: "asyncio.Future[Embeddings]"
    places: deque[int]
    missing: int
    vectors: "NDArray[np.float32] | None" = None
    tokens: list[int] = field(default_factory=list)


class Batcher(Generic[Given]):
    """Joins concurrent calls of one model, whose answer has a row of numbers for each item.

    read runs in `reader`; embed in `computer`, one batch at a time.
    """

    def __init__(
        self,
        *,
        read: Callable[[Given], Reading],
        embed: Callable[[Sequence[Any]], Embeddings],
        reader: Executor,
        computer: Executor,
    ) -> None:
        self._read = read
        self._embed = embed
        self._reader = reader
        self._computer = computer
        self._waiting: list[_Call] = []
        self._running: asyncio.Task[None] | None = None

    async def embed(self, inputs: Given) -> Embeddings:
        """The vectors of one call, computed together with what waits beside it. Raises as `read` and `embed` do."""
        loop = asyncio.get_running_loop()
        reading = await loop.run_in_executor(self._reader, self._read, inputs)
        count = len(reading.items)
        places = deque(sorted(range(count), key=reading.sizes.__getitem__, reverse=True))
        call = _Call(reading=reading, future=loop.create_future(), places=places, missing=count, tokens=[0] * count)
        self._waiting.append(call)
        if self._running is None or self._running.done():
            self._running = asyncio.create_task(self._drain())
        return await call.future

    async def _drain(self) -> None:
        while batch := self._next():
            try:
                found = await self._compute([call.reading.items[place] for call, place in batch])
            except HeliostatError as error:
                await self._apart(batch, error)
            except Exception as error:  # noqa: BLE001 - it belongs to the callers, and others wait behind them
                _fail(batch, error)
            else:
                _deliver(batch, found)

    def _next(self) -> list[tuple[_Call, int]]:
        """The next batch, as calls and places in them; who hung up or failed is left out."""
        self._waiting = [call for call in self._waiting if call.places and not call.future.done()]
        sizes = [[call.reading.sizes[place] for place in call.places] for call in self._waiting]
        batch = []
        for call, count in zip(self._waiting, shares(sizes, BATCH_TOKENS), strict=True):
            batch += [(call, call.places.popleft()) for _ in range(count)]
        return batch

    async def _apart(self, batch: list[tuple[_Call, int]], error: HeliostatError) -> None:
        """Each call's part by itself, so that what one of them asks for fails nobody else."""
        parts: dict[_Call, list[tuple[_Call, int]]] = {}
        for item in batch:
            parts.setdefault(item[0], []).append(item)
        if len(parts) == 1:
            _fail(batch, error)
            return
        for call, part in parts.items():
            try:
                _deliver(part, await self._compute([call.reading.items[place] for _, place in part]))
            except Exception as own:  # noqa: BLE001 - it belongs to this caller, and others wait behind it
                _fail(part, own)

    async def _compute(self, items: Sequence[Any]) -> Embeddings:
        return await asyncio.get_running_loop().run_in_executor(self._computer, self._embed, items)


def shares(sizes: Sequence[Sequence[int]], budget: int) -> list[int]:
    """How many items each call gives to a batch, from its front. sizes: of each call's items, none empty.

    The oldest call gives one, whatever its size: so a batch is never empty and nobody waits for ever. Then each
    gives up to an equal share of what is left, so that a small call is whole in its first batch among large ones;
    then the oldest fill it up.
    """
    counts = [0] * len(sizes)
    if not sizes:
        return counts
    counts[0] = 1
    left = budget - sizes[0][0]
    for most in (left // len(sizes), left):
        for at, own in enumerate(sizes):
            spent = 0
            while counts[at] < len(own) and spent + own[counts[at]] <= min(most, left):
                spent += own[counts[at]]
                counts[at] += 1
            left -= spent
    return counts


def _deliver(batch: Sequence[tuple[_Call, int]], found: Embeddings) -> None:
    """Put the batch's rows where they belong; a call that has all of its own is answered."""
    import numpy as np

    rows: dict[_Call, list[int]] = {}
    for row, (call, _) in enumerate(batch):
        rows.setdefault(call, []).append(row)
    for call, own in rows.items():
        places = [batch[row][1] for row in own]
        if call.vectors is None:
            call.vectors = np.empty((len(call.tokens), found.vectors.shape[1]), dtype=found.vectors.dtype)
        call.vectors[places] = found.vectors[own]
        for row, place in zip(own, places, strict=True):
            call.tokens[place] = found.tokens[row]
        call.missing -= len(own)
        if not call.missing and not call.future.done():
            call.future.set_result(
                Embeddings(vectors=call.vectors, tokens=tuple(call.tokens), truncated=call.reading.truncated)
            )


def _fail(batch: Sequence[tuple[_Call, int]], error: Exception) -> None:
    for call, _ in batch:
        if not call.future.done():
            call.future.set_exception(error)
