"""A sweep's worker: a Ray Data actor that keeps many cells in flight on the served models.

It is handed ordinals, plans the cells itself, and writes their rows to the run's folder as they come, so that
a kill costs seconds. Ray Data gives a block to a new actor when its actor dies: what the dead one stored of
the block is not run again.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cluster.catalog import deployment_name
from cluster.serve_errors import translate
from cluster.stores.runs import Run, ids_in
from cluster.types import ChatAnswer, ChatCall, ModelCard
from pipelines.sweeps.block import BlockWriter
from pipelines.sweeps.cell import CellRunner
from pipelines.sweeps.loop import LoopThread
from pipelines.sweeps.plan import Plan
from pipelines.sweeps.spec import read_spec
from pipelines.sweeps.width import Width

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerTask:
    """What a worker is told once. spec: canonical JSON. in_flight: cells at once, of this worker."""

    home: str
    run_id: str
    session: str
    spec: str
    application: str
    cards: Mapping[str, ModelCard]
    in_flight: int
    block_cells: int
    retries: int
    timeout_s: float


class CellWorker:
    """Called by Ray Data with blocks of `ordinal` and `block`; answers how many cells it ran of each."""

    def __init__(self, task: WorkerTask) -> None:
        self._task = task
        self._run = Run(Path(task.home), task.run_id)
        revisions = {model: card.revision for model, card in task.cards.items()}
        self._plan = Plan(spec=read_spec(json.loads(task.spec)), revisions=revisions)
        self._loop = LoopThread("cells")
        self._runner = self._loop.wait(self._prepare())

    def __call__(self, rows: "pa.Table") -> "pa.Table":
        """Run one block."""
        import pyarrow as pa

        block = int(rows.column("block")[0].as_py())
        ran = self._loop.wait(self._run_block(block, [int(value) for value in rows.column("ordinal").to_numpy()]))
        return pa.table({"block": [block], "cells": [ran]})

    async def _prepare(self) -> CellRunner:
        task = self._task
        models = ServedModels(task.application, tuple(task.cards))
        return CellRunner(
            models.stream, Width(task.in_flight), cards=task.cards, retries=task.retries, timeout_s=task.timeout_s
        )

    async def _run_block(self, block: int, ordinals: list[int]) -> int:
        session = self._task.session
        stored = ids_in(self._run.files_of(session, block))
        cells = (cell for cell in map(self._plan.cell, ordinals) if cell.id not in stored)
        writer = BlockWriter(self._run, session=session, block=block, size=self._task.block_cells)

        async def lane() -> int:
            ran = 0
            for cell in cells:  # one iterator for all lanes: each cell is taken once, in the plan's order
                await writer.add(await self._runner.run(cell))
                ran += 1
            return ran

        async with writer, asyncio.TaskGroup() as group:
            lanes = [group.create_task(lane()) for _ in range(self._task.in_flight)]
        return sum(lane.result() for lane in lanes)


class ServedModels:
    """The deployments of models, by name; made inside the loop that uses them."""

    def __init__(self, application: str, models: tuple[str, ...]) -> None:
        from ray import serve

        # Kept: every `options` call makes a router of its own.
        self._handles = {
            model: serve.get_deployment_handle(deployment_name(model), application).options(stream=True)
            for model in models
        }

    async def stream(self, model: str, call: ChatCall) -> AsyncIterator[bytes]:
        """Server-sent events of one chat completion; closing the iterator stops the generation."""
        response: Any = self._handles[model].stream.remote(call)
        try:
            async for item in response:
                yield item.body if isinstance(item, ChatAnswer) else item  # the first comes with its timing
        except Exception as error:  # the border of the process: everything is translated here, once
            raise translate(error) from error
        finally:
            response.cancel()
