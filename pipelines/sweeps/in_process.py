"""A sweep's cells in this process, without Ray: how the runner itself is tested and measured."""

import asyncio
import threading
from collections.abc import Awaitable, Callable, Sequence

from cluster.settings.pipelines import SweepSettings
from pipelines.sweeps.block_runner import BlockRunner, WorkerTask
from pipelines.sweeps.cell import Ask
from pipelines.sweeps.session import Execute

LOOK_S = 0.05

Connect = Callable[[], Awaitable[Ask]]
"""Who answers; made inside the loop that asks."""


def executing_here(connect: Connect) -> Execute:
    """Runs all cells as one block in a thread of this process, in the place of `job.execute`."""

    def execute(task: WorkerTask, ordinals: Sequence[int], _: SweepSettings, watch: Callable[[], None]) -> None:
        failures: list[BaseException] = []

        async def work() -> None:
            await BlockRunner(task, await connect()).run(0, list(ordinals))

        def thread() -> None:
            try:
                asyncio.run(work())
            except BaseException as error:  # noqa: BLE001 - raised again in the calling thread
                failures.append(error)

        working = threading.Thread(target=thread, name="cells", daemon=True)
        working.start()
        while working.is_alive():
            watch()
            working.join(LOOK_S)
        watch()
        if failures:
            raise failures[0]

    return execute
