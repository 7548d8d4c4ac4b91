"""A sweep's cells as a Ray Data job: in blocks, on as many workers as there is room for."""

import math
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from cluster.errors import ClusterError, HeliostatError, Unavailable
from cluster.serve_errors import translate
from cluster.settings.pipelines import SweepSettings
from pipelines.sweeps.block_runner import WorkerTask
from pipelines.sweeps.worker import CellWorker

if TYPE_CHECKING:
    import pyarrow as pa

LOOK_S = 0.2  # between two looks at the parts of this session: a part of the second until a client knows
ROOM_S = 20.0  # how long a sweep waits for a CPU of its own
BLOCKS_A_WORKER = 8  # enough to even out several workers; each block's end leaves slots idle for a moment


@dataclass(slots=True)
class _Work:
    """Ray Data at work in a thread of its own, so that the main thread can watch and be interrupted."""

    work: Callable[[], None]
    error: BaseException | None = None
    thread: threading.Thread = field(init=False)

    def start(self) -> None:
        self.thread = threading.Thread(target=self._run, name="ray-data", daemon=True)
        self.thread.start()

    def _run(self) -> None:
        try:
            self.work()
        except BaseException as error:  # noqa: BLE001 - raised again in the main thread
            self.error = error


def execute(task: WorkerTask, ordinals: Sequence[int], settings: SweepSettings, watch: Callable[[], None]) -> None:
    """Run the cells; `watch` is called some times a second, and once more when all have been written.

    Raises Unavailable without a CPU for a worker, DiskFull, and ClusterError.
    """
    job = _Work(lambda: _run_data(task, ordinals, settings))
    job.start()
    while True:
        alive = job.thread.is_alive()  # asked before looking, so that the last look sees every part
        watch()
        if not alive:
            break
        job.thread.join(LOOK_S)
    if job.error is not None:
        raise _told(job.error, task.run_id) from job.error


def blocks(ordinals: Sequence[int], settings: SweepSettings) -> "list[pa.Table | bytes]":
    """The ordinals in blocks of neighbours, so that the configurations of a prompt stay together."""
    import pyarrow as pa

    share = -(-len(ordinals) // settings.workers)
    pieces = BLOCKS_A_WORKER if settings.workers > 1 else 1
    size = min(share, max(settings.block_cells, 8 * settings.in_flight, -(-share // pieces)))
    starts = range(0, len(ordinals), size)
    return [
        pa.table({"ordinal": (part := list(ordinals[start : start + size])), "block": [number] * len(part)})
        for number, start in enumerate(starts)
    ]


def _run_data(task: WorkerTask, ordinals: Sequence[int], settings: SweepSettings) -> None:
    import ray
    from ray.data import ActorPoolStrategy, from_arrow

    tables = blocks(ordinals, settings)
    dataset = from_arrow(tables).map_batches(
        CellWorker,
        batch_size=None,
        batch_format="pyarrow",
        compute=ActorPoolStrategy(size=min(_fitting(settings), len(tables))),
        fn_constructor_args=(task,),
        num_cpus=settings.worker_cpus,
        # The workers wait for others and write to the home: they belong on the node that holds it.
        label_selector={"ray.io/node-id": ray.get_runtime_context().get_node_id()},
    )
    dataset.materialize()


def _fitting(settings: SweepSettings) -> int:
    """How many workers there is room for, at most as many as asked for. Raises Unavailable for none.

    A pool larger than the free CPUs would wait for ever. Those of a driver that was just killed are free soon.
    """
    import ray

    deadline = time.monotonic() + ROOM_S
    while True:
        free = float(ray.available_resources().get("CPU", 0.0))  # type: ignore[no-untyped-call]
        fitting = math.floor(free / settings.worker_cpus + 1e-6)
        if fitting >= 1:
            return min(settings.workers, fitting)
        if time.monotonic() > deadline:
            raise Unavailable(
                f"A sweep's worker reserves {settings.worker_cpus:g} CPUs, but {free:g} are free",
                hint="lower sweeps.worker_cpus, or wait for other jobs",
            )
        time.sleep(LOOK_S)


def _told(error: BaseException, run_id: str) -> HeliostatError:
    """The error as ours; what a worker raised on purpose is still what it was."""
    links: list[BaseException] = []
    link: BaseException | None = error
    while link is not None and link not in links:
        links.append(link)
        ours = translate(link) if isinstance(link, Exception) else link
        if isinstance(ours, HeliostatError):
            return ours
        link = link.__cause__ or link.__context__
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return ClusterError(
        f"the sweep {run_id} stopped: {lines[-1] if lines else type(error).__name__}",
        hint="run the same sweep again: it continues",
    )
