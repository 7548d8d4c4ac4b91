"""A sweep's worker: a Ray Data actor that keeps many cells in flight on the served models.

Ray Data gives a block to a new actor when its actor dies: what the dead one stored of the block is not run again.
"""

from collections.abc import AsyncIterator, Mapping
from typing import TYPE_CHECKING, Any

from cluster.catalog import deployment_name
from cluster.documents import Passage, SearchCall
from cluster.serve_errors import translate
from cluster.types import ChatAnswer, ChatCall, ModelCard
from pipelines.sweeps.block_runner import BlockRunner, WorkerTask
from pipelines.sweeps.cell import is_streamed
from pipelines.sweeps.loop import LoopThread
from pipelines.sweeps.rankers import ServedRankers

if TYPE_CHECKING:
    import pyarrow as pa


class CellWorker:
    """Called by Ray Data with blocks of `ordinal` and `block`; answers how many cells it ran of each."""

    def __init__(self, task: WorkerTask) -> None:
        self._task = task
        self._loop = LoopThread("cells")
        self._runner = self._loop.wait(self._prepare())

    def __call__(self, rows: "pa.Table") -> "pa.Table":
        """Run one block."""
        import pyarrow as pa

        block = int(rows.column("block")[0].as_py())
        ran = self._loop.wait(self._runner.run(block, [int(value) for value in rows.column("ordinal").to_numpy()]))
        return pa.table({"block": [block], "cells": [ran]})

    async def _prepare(self) -> BlockRunner:
        task = self._task
        ask = ServedModels(task.application, task.cards).ask
        if task.documents is None:
            return BlockRunner(task, ask)
        rank = ServedRankers(task.application, task.embedder).rank
        return BlockRunner(task, ask, ServedRetriever(task.application).search, rank)


class ServedModels:
    """The deployments of models, by name; made inside the loop that uses them."""

    def __init__(self, application: str, cards: Mapping[str, ModelCard]) -> None:
        from ray import serve

        self._streamed = {model for model, card in cards.items() if is_streamed(card)}
        # Kept: every `options` call makes a router of its own.
        self._handles = {
            model: serve.get_deployment_handle(deployment_name(model), application).options(
                stream=model in self._streamed
            )
            for model in cards
        }

    async def ask(self, model: str, call: ChatCall) -> AsyncIterator[ChatAnswer | bytes]:
        """One chat completion, whole or as server-sent events; closing the iterator stops the generation."""
        handle: Any = self._handles[model]
        streamed = model in self._streamed
        response = handle.stream.remote(call) if streamed else handle.chat.remote(call)
        try:
            if streamed:
                async for item in response:
                    yield item
            else:
                yield await response
        except Exception as error:  # the border of the process: everything is translated here, once
            raise translate(error) from error
        finally:
            response.cancel()


class ServedRetriever:
    """The documents of the application; made inside the loop that uses it."""

    def __init__(self, application: str) -> None:
        from ray import serve

        self._handle: Any = serve.get_deployment_handle("Retriever", application)

    async def search(self, call: SearchCall) -> tuple[Passage, ...]:
        """The best passages, best first. Raises CollectionNotFound and what else the retriever raises."""
        try:
            found: tuple[Passage, ...] = await self._handle.search.remote(call)
        except Exception as error:  # the border of the process
            raise translate(error) from error
        return found
