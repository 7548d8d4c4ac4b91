"""Calls that arrive while the model computes become the next batch: no waiting, no timer."""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

from cluster.errors import HeliostatError
from cluster.types import Embeddings

Inputs = tuple[str, ...] | tuple[tuple[int, ...], ...]
MAX_INPUTS = 256  # of one batch: bounds how long a small call waits behind large ones


@dataclass(frozen=True, slots=True, kw_only=True)
class _Waiting:
    inputs: Inputs
    future: "asyncio.Future[Embeddings]"


class Batcher:
    """Joins concurrent embedding calls; `compute` runs in the executor, one batch at a time."""

    def __init__(self, compute: Callable[[Sequence[Any]], Embeddings], executor: Executor) -> None:
        self._compute = compute
        self._executor = executor
        self._waiting: list[_Waiting] = []
        self._running: asyncio.Task[None] | None = None

    async def embed(self, inputs: Inputs) -> Embeddings:
        """The vectors of one call, computed together with what waits beside it."""
        future: asyncio.Future[Embeddings] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Waiting(inputs=inputs, future=future))
        if self._running is None or self._running.done():
            self._running = asyncio.create_task(self._drain())
        return await future

    async def _drain(self) -> None:
        while batch := self._next():
            try:
                joined = await self._run(tuple(item for call in batch for item in call.inputs))
            except HeliostatError as error:
                await self._alone(batch, error)
                continue
            except Exception as error:  # noqa: BLE001 - it belongs to the callers, and others wait behind them
                for call in batch:
                    _fail(call, error)
                continue
            if len(batch) > 1 and joined.truncated:
                await self._alone(batch, None)  # only a call by itself knows how many of its own were cut
                continue
            ends = list(accumulate(len(call.inputs) for call in batch))
            for call, end in zip(batch, ends, strict=True):
                first = end - len(call.inputs)
                part = Embeddings(
                    vectors=joined.vectors[first:end],
                    tokens=joined.tokens[first:end],
                    truncated=joined.truncated,  # 0, or all of it where the call is alone
                )
                _settle(call, part)

    def _next(self) -> list[_Waiting]:
        """The calls of the next batch: texts and token ids never mix; who hung up is left out."""
        self._waiting = [call for call in self._waiting if not call.future.done()]
        batch: list[_Waiting] = []
        size = 0
        for call in self._waiting:
            alike = not batch or isinstance(call.inputs[0], str) == isinstance(batch[0].inputs[0], str)
            if batch and (not alike or size + len(call.inputs) > MAX_INPUTS):
                break
            batch.append(call)
            size += len(call.inputs)
        del self._waiting[: len(batch)]
        return batch

    async def _alone(self, batch: list[_Waiting], error: HeliostatError | None) -> None:
        """Each call by itself, so that one wrong input fails nobody else."""
        if len(batch) == 1 and error is not None:
            _fail(batch[0], error)
            return
        for call in batch:
            try:
                _settle(call, await self._run(call.inputs))
            except Exception as own:  # noqa: BLE001 - it belongs to this caller, and others wait behind it
                _fail(call, own)

    async def _run(self, inputs: Sequence[Any]) -> Embeddings:
        return await asyncio.get_running_loop().run_in_executor(self._executor, self._compute, inputs)


def _settle(call: _Waiting, result: Embeddings) -> None:
    if not call.future.done():
        call.future.set_result(result)


def _fail(call: _Waiting, error: Exception) -> None:
    if not call.future.done():
        call.future.set_exception(error)
