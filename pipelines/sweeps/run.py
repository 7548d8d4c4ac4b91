"""A sweep's driver: which cells are missing, a job that runs them, and what came of it.

Killed at any moment and started again, it ends with exactly one row for each planned cell. One that is paused, or
whose budget or time is over, has ended early and in order: the same command goes on.
"""

import json
from collections.abc import Callable
from dataclasses import replace

from cluster.errors import Conflict
from cluster.stores.runs import Run
from pipelines.sweeps.job import execute
from pipelines.sweeps.plan import Plan
from pipelines.sweeps.preflight import check_sizes, find_cards
from pipelines.sweeps.rankers import check_rankers
from pipelines.sweeps.session import Outcome, Session, Target, silent
from pipelines.sweeps.spec import SweepSpec, read_spec
from pipelines.sweeps.tally import Progress

__all__ = ["Outcome", "Target", "retry_sweep", "run_sweep", "stored_spec"]


def run_sweep(
    spec: SweepSpec,
    target: Target,
    watch: Callable[[Progress], None],
    *,
    retry: bool = False,
    fresh: bool = False,
    say: Callable[[str], None] = silent,
) -> Outcome:
    """Run what is missing of a sweep; this process must be a driver of the cluster already.

    An interrupted run goes on with the cells that have no row, and those whose row is an error, for what
    interrupted it may have failed them. A run whose cells all have rows has nothing left; `retry` runs its failed
    cells again. One that begins takes over what other runs have of its cells: a spec that grew is gone on with.
    fresh: the stored run is moved aside first, and nothing is taken over. say: told in a line what is done before
    the first cell. Raises BadRequest for sizes of chunks that cannot be, NothingToRun, PlanTooLarge,
    ModelNotFound, UnsupportedParameter, CollectionNotFound, Conflict while another driver runs it, Unavailable
    without a CPU for a worker, DiskFull, and ClusterError.
    """
    Plan(spec=spec).check(target.settings.max_cells, target.served)
    check_rankers(spec, target.rankers)
    check_sizes(spec, target.documents, target.application)
    cards = find_cards(spec, target.application)
    revisions = {model: card.revision for model, card in cards.items()}
    plan = Plan(spec=spec, revisions=revisions, owner=target.owner)
    run = Run(target.home, plan.run_id)
    if fresh and (run.folder / "manifest.json").exists():
        with run.held():
            run.archive()
    with run.held() as session:
        return Session(plan, target, cards, run, session, execute, say=say).drive(
            watch, retry=retry, extend=not fresh
        )


def retry_sweep(run: Run, target: Target, watch: Callable[[Progress], None]) -> Outcome:
    """Run the failed cells of a stored run again. Raises as `run_sweep` does, and ExperimentNotFound."""
    own = replace(target, owner=run.manifest().owner)
    return run_sweep(stored_spec(run), own, watch, retry=True)


def stored_spec(run: Run) -> SweepSpec:
    """What a stored run asks. Raises ExperimentNotFound, and Conflict for one that was moved aside."""
    if run.manifest().run_id != run.id:
        raise Conflict(f"The sweep {run.id} was moved aside", hint=f"its successor is {run.manifest().run_id}")
    return read_spec(json.loads(run.spec()))
