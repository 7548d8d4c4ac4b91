"""Cells of one block, many at once, until they are done or are told to stop. Knows no Ray.

Each model has lanes of its own, which take its cells in the plan's order: the slowest model holds up no other, and
the configurations of a prompt still come together.
"""

import asyncio
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass

from cluster.stores.run_state import CANCELLED, RunState, State
from pipelines.sweeps.block_writer import BlockWriter
from pipelines.sweeps.cell import CellRunner
from pipelines.sweeps.plan import Cell

LOOK_S = 0.25  # between two looks at whether the sweep is to stop


@dataclass(slots=True)
class Ending:
    """Whether a sweep is to stop; shared by the lanes of a worker."""

    state: RunState
    wish: State | None = None

    @property
    def wanted(self) -> bool:
        """Whether no further cell starts."""
        return self.wish is not None

    @property
    def at_once(self) -> bool:
        """Whether cells in flight are dropped, too."""
        return self.wish is not None and self.wish.status == CANCELLED

    async def heard(self) -> None:
        """Return when somebody wishes that the sweep stop."""
        while self.wish is None:
            self.wish = self.state.asked()
            if self.wish is None:
                await asyncio.sleep(LOOK_S)


async def run_cells(
    cells: Mapping[str, Iterator[Cell]], runner: CellRunner, writer: BlockWriter, ending: Ending, *, lanes: int
) -> int:
    """Run the cells of each model, `lanes` of one at a time; returns how many have a row now.

    Raises what the writer raises: Superseded, DiskFull.
    """
    ran = 0

    async def lane(mine: Iterator[Cell]) -> None:
        nonlocal ran
        for cell in mine:  # one iterator for all lanes of a model: each cell is taken once
            if ending.wanted:
                return
            await writer.add(await runner.run(cell))
            ran += 1

    if not ending.wanted:
        ending.wish = ending.state.asked()
    async with writer:
        work = [asyncio.create_task(lane(mine)) for mine in cells.values() for _ in range(lanes)]
        watch = asyncio.create_task(_end(ending, work))
        try:
            await _all(work)
        finally:
            watch.cancel()
            with suppress(asyncio.CancelledError):
                await watch
    return ran


async def _end(ending: Ending, work: "list[asyncio.Task[None]]") -> None:
    await ending.heard()
    if ending.at_once:
        for task in work:
            task.cancel()


async def _all(work: "list[asyncio.Task[None]]") -> None:
    """Wait for all; the first that fails ends the others and is raised. One that was dropped has not failed."""
    done, open_ = await asyncio.wait(work, return_when=asyncio.FIRST_EXCEPTION)
    failures = [task.exception() for task in done if not task.cancelled() and task.exception() is not None]
    if open_ and not failures:
        done, open_ = await asyncio.wait(work)
        failures = [task.exception() for task in done if not task.cancelled() and task.exception() is not None]
    for task in open_:
        task.cancel()
    if open_:
        await asyncio.wait(open_)
    if failures and failures[0] is not None:
        raise failures[0]
