"""A sweep's driver: which cells are missing, a Ray Data job that runs them, and what came of it.

Killed at any moment and started again, it ends with exactly one row for each planned cell.
"""

import json
import math
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cluster.catalog import deployment_name
from cluster.errors import ClusterError, Conflict, HeliostatError, Unavailable, UnsupportedParameter
from cluster.settings.pipelines import SweepSettings
from cluster.stores.runs import Manifest, Run
from cluster.types import ModelCard
from pipelines.sweeps.loop import LoopThread
from pipelines.sweeps.plan import Plan
from pipelines.sweeps.spec import SweepSpec, read_spec
from pipelines.sweeps.tally import COLUMNS, Progress, Tally
from pipelines.sweeps.worker import CellWorker, WorkerTask

if TYPE_CHECKING:
    import pyarrow as pa

LOOK_S = 0.5  # between two looks at the parts of this session
ROOM_S = 20.0  # how long a sweep waits for a CPU of its own
BLOCKS_A_WORKER = 8  # enough to even out the workers; each block's end leaves slots idle for a moment


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Where a sweep runs. home: the data folder. application: the Serve application that holds the models."""

    home: Path
    application: str
    served: Sequence[str]
    settings: SweepSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a sweep ended with. ran: cells of this session. failed: cells whose row is an error."""

    run: Run
    total: int
    ran: int
    failed: int
    seconds: float
    last: Progress


@dataclass(slots=True)
class _Job:
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


def run_sweep(
    spec: SweepSpec, target: Target, watch: Callable[[Progress], None], *, retry: bool = False, fresh: bool = False
) -> Outcome:
    """Run what is missing of a sweep; this process must be a driver of the cluster already.

    An interrupted run goes on with the cells that have no row, and those whose row is an error, for what
    interrupted it may have failed them. A run whose cells all have rows has nothing left; `retry` runs its failed
    cells again. fresh: the stored run is moved aside first. Raises NothingToRun, PlanTooLarge, ModelNotFound,
    UnsupportedParameter, Conflict while another driver runs it, Unavailable without a CPU for a worker, and
    ClusterError.
    """
    Plan(spec=spec).check(target.settings.max_cells, target.served)
    cards = LoopThread("cards").wait(_cards(spec, target.application))
    plan = Plan(spec=spec, revisions={model: card.revision for model, card in cards.items()})
    run = Run(target.home, plan.run_id)
    if fresh and (run.folder / "manifest.json").exists():
        with run.held():
            run.archive()
    begun = time.monotonic()
    with run.held() as session:
        _begin(run, plan, cards)
        ordinals = pending(plan, run.stored(), retry=retry)
        tally = Tally(plan.total)
        tally.keep(_kept(run, ordinals))
        if ordinals:
            _execute(_task(plan, target, cards, session), ordinals, target.settings, run, tally, watch)
        last = tally.progress(datetime.now(UTC))
        watch(last)
        stored = run.compact(session)
    if stored != plan.total:
        raise ClusterError(
            f"{stored} of {plan.total} cells have a row", hint="run the same sweep again: it continues"
        )
    return Outcome(
        run=run,
        total=plan.total,
        ran=tally.ran,
        failed=tally.failed,
        seconds=time.monotonic() - begun,
        last=last,
    )


def retry_sweep(run: Run, target: Target, watch: Callable[[Progress], None]) -> Outcome:
    """Run the failed cells of a stored run again. Raises as `run_sweep` does, and ExperimentNotFound."""
    if run.manifest().run_id != run.id:
        raise Conflict(f"The sweep {run.id} was moved aside", hint=f"its successor is {run.manifest().run_id}")
    return run_sweep(read_spec(json.loads(run.spec())), target, watch, retry=True)


def pending(plan: Plan, stored: Mapping[str, bool], *, retry: bool) -> range | list[int]:
    """The ordinals of the cells to run. stored: ids of cells with a row, and whether each went well."""
    if not stored:
        return range(plan.total)
    states = [(cell.ordinal, stored.get(cell.id)) for cell in plan.cells()]
    if not retry and all(well is not None for _, well in states):
        return []
    return [ordinal for ordinal, well in states if not well]


def blocks(ordinals: Sequence[int], settings: SweepSettings) -> "list[pa.Table | bytes]":
    """The ordinals in blocks of neighbours, so that the configurations of a prompt stay together."""
    import pyarrow as pa

    share = -(-len(ordinals) // settings.workers)
    size = min(share, max(settings.block_cells, 8 * settings.in_flight, -(-share // BLOCKS_A_WORKER)))
    starts = range(0, len(ordinals), size)
    return [
        pa.table({"ordinal": (part := list(ordinals[start : start + size])), "block": [number] * len(part)})
        for number, start in enumerate(starts)
    ]


def _begin(run: Run, plan: Plan, cards: Mapping[str, ModelCard]) -> None:
    """Write the run's manifest, or hold the stored one against the models as they are now."""
    models = {model: {"engine": card.engine, "revision": card.revision} for model, card in cards.items()}
    manifest = Manifest(
        run_id=plan.run_id, name=plan.spec.name, total=plan.total, models=models, created=time.time()
    )
    run.begin(plan.spec.canonical(), manifest)
    for model, before in run.manifest().models.items():
        if before["revision"] != models[model]["revision"]:
            raise Conflict(
                f"The sweep {run.id} was begun with revision {before['revision']} of {model}, which is "
                f"{models[model]['revision']} now",
                hint="sweep run --fresh moves the stored run aside and begins again",
            )


def _kept(run: Run, ordinals: Sequence[int]) -> "pa.Table":
    import pyarrow as pa
    import pyarrow.compute as pc

    stored = run.table([*COLUMNS, "ordinal"])
    if not stored.num_rows:
        return stored
    return stored.filter(pc.invert(pc.is_in(stored.column("ordinal"), pa.array(ordinals, pa.int64()))))


def _task(plan: Plan, target: Target, cards: Mapping[str, ModelCard], session: str) -> WorkerTask:
    settings = target.settings
    return WorkerTask(
        home=str(target.home),
        run_id=plan.run_id,
        session=session,
        spec=plan.spec.canonical(),
        application=target.application,
        cards=cards,
        in_flight=max(1, settings.in_flight // settings.workers),
        block_cells=settings.block_cells,
        retries=settings.retries,
        timeout_s=settings.cell_timeout_s,
    )


def _execute(
    task: WorkerTask,
    ordinals: Sequence[int],
    settings: SweepSettings,
    run: Run,
    tally: Tally,
    watch: Callable[[Progress], None],
) -> None:
    job = _Job(lambda: _run_data(task, ordinals, settings))
    job.start()
    seen: set[Path] = set()
    while True:
        alive = job.thread.is_alive()  # asked before looking, so that the last look sees every part
        _look(run, task.session, seen, tally)
        watch(tally.progress(datetime.now(UTC)))
        if not alive:
            break
        job.thread.join(LOOK_S)
    if isinstance(job.error, HeliostatError):
        raise job.error
    if job.error is not None:
        lines = [line.strip() for line in str(job.error).splitlines() if line.strip()]
        raise ClusterError(
            f"the sweep {task.run_id} stopped: {lines[-1] if lines else type(job.error).__name__}",
            hint="run the same sweep again: it continues",
        ) from job.error


def _look(run: Run, session: str, seen: set[Path], tally: Tally) -> None:
    import pyarrow.parquet as pq

    for file in sorted(run.parts.glob(f"{session}-*.parquet")):
        if file not in seen:
            seen.add(file)
            tally.add(pq.read_table(file, columns=list(COLUMNS)))


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


async def _cards(spec: SweepSpec, application: str) -> dict[str, ModelCard]:
    """What the models are. Raises UnsupportedParameter for a swept parameter that one of them does not honour."""
    from ray import serve

    from cluster.serve_errors import translate

    found: dict[str, ModelCard] = {}
    for model in spec.models:
        handle: Any = serve.get_deployment_handle(deployment_name(model), application)
        try:
            card: ModelCard = await handle.card.remote()
        except Exception as error:  # the border of the process: everything is translated here
            raise translate(error) from error
        sent = [*spec.parameters.axes, *(["seed"] if spec.seeds else [])]
        refused = [name for name in sent if name not in card.capabilities.parameters]
        if refused:
            hint = "seeds: false sends none" if refused[0] == "seed" else "remove the parameter"
            raise UnsupportedParameter(f"{model} does not honour {refused[0]}", hint=hint, param=refused[0])
        found[model] = card
    return found
