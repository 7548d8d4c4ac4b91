"""What is done with batch experiments: sweeps that are created, started, watched and cancelled.

An experiment lives in the SQL database, runs as a Ray job (`python -m pipelines sweep run --batch ID`), and
leaves its rows in the run's Parquet. total_combinations counts cells: combinations of the parameters, times
prompts, times models, times response_count.
"""

import asyncio
import json
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any, TypeVar

from cluster.errors import ClusterError, ExperimentNotFound, HeliostatError, ModelNotFound, NotFound
from cluster.settings.tree import Settings
from cluster.stores.experiments import CANCELLED, COMPLETED, FAILED, RUNNING, Experiment, Experiments
from cluster.stores.lab_filter import LabFilter
from deployments.clients import ChatModel
from deployments.gateway.lab import etags
from deployments.gateway.lab.batch_shown import status, whole
from deployments.gateway.lab.jobs import Jobs
from deployments.gateway.lab.moments import moment
from deployments.gateway.lab.wire import BatchLabels
from deployments.gateway.parsing import json_object, parsed
from deployments.gateway.principal import LOCAL, Principal, Role
from deployments.gateway.progress import Standing
from pipelines.sweeps.cuts import check_cuts, cuts_of
from pipelines.sweeps.display import duration
from pipelines.sweeps.estimate import Estimate, Pace, estimate
from pipelines.sweeps.plan import Plan
from pipelines.sweeps.spec import read_spec

Result = TypeVar("Result")

LARGEST_ID = 2**31 - 1  # of a PostgreSQL integer
SUBMIT_GRACE_S = 60.0  # between claiming an experiment and the job being known to Ray
ASK_S = 3.0  # between two questions to Ray about a job that is followed
LABELS = frozenset({"tags", "favorited", "archived"})  # of a batch's body, what is no part of its sweep


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """A batch as it was asked for, checked. labels: what is no part of its sweep."""

    plan: Plan
    labels: BatchLabels
    estimate: Estimate

    def told(self) -> dict[str, Any]:
        """What is known of it before it runs."""
        seconds = self.estimate.seconds
        guessed = {name: value for name, value in asdict(self.estimate).items() if name != "notes"}
        return {
            "total_combinations": self.plan.total,
            "estimated_duration": None if seconds is None else duration(seconds),
            "estimate": guessed,
            "notes": list(self.estimate.notes),
        }


class Desk:
    """What the routes do. All calls of the database are made in a thread.

    An experiment is its owner's, and admins'; for all others it does not exist.
    """

    def __init__(
        self, settings: Settings, models: Mapping[str, ChatModel], experiments: Experiments, jobs: Jobs
    ) -> None:
        self._settings = settings
        self._models = models
        self._jobs = jobs
        self._experiments = experiments
        self._asked: dict[int, float] = {}  # when Ray was last asked about a job that somebody follows

    async def plan(self, body: bytes, principal: Principal = LOCAL) -> dict[str, Any]:
        """What a batch would take, and nothing is stored. Raises as `create` does."""
        planned = await self._read(body, principal)
        return {"status": "planned", "run_id": planned.plan.run_id, **planned.told()}

    async def create(self, body: bytes, principal: Principal = LOCAL) -> dict[str, Any]:
        """Store an experiment. Raises BadRequest, NothingToRun, PlanTooLarge, ModelNotFound."""
        planned = await self._read(body, principal)
        spec, plan = planned.plan.spec, planned.plan
        experiments = self._experiments
        made = await asyncio.to_thread(
            partial(
                experiments.create,
                name=spec.name,
                description=spec.description,
                spec=spec.canonical(),
                run_id=plan.run_id,
                total=plan.total,
                owner=principal.owner,
            )
        )
        if values := planned.labels.values():
            await self._do(lambda known: known.label(made.id, values))
        return {"id": made.id, "status": made.status, **planned.told(), "created_at": moment(made.created_at)}

    async def _read(self, body: bytes, principal: Principal) -> Planned:
        # In a thread: a spec may hold a million prompts, and other requests go on meanwhile.
        return await asyncio.to_thread(self._planned, body, principal)

    def _planned(self, body: bytes, principal: Principal) -> Planned:
        data = json_object(body, hint="fields such as name, prompt and parameter_ranges")
        # The description is the spec's, too, which has no bound of it.
        parsed(BatchLabels, {name: value for name, value in data.items() if name == "description"})
        labels = parsed(BatchLabels, {name: value for name, value in data.items() if name in LABELS})
        spec = read_spec({name: value for name, value in data.items() if name not in LABELS})
        plan = Plan(spec=spec, owner=principal.owner)
        plan.check(self._settings.sweeps.max_cells, list(filter(principal.may_ask, self._models)))
        check_cuts(cuts_of(plan.space), self._settings.documents)
        minutes = self._experiments.pace(spec.models)
        pace = Pace(cells_per_s=minutes / 60, tokens_per_s=0.0) if minutes else None
        return Planned(plan=plan, labels=labels, estimate=estimate(plan, pace))

    async def page(
        self, limit: int, offset: int, principal: Principal = LOCAL, wanted: LabFilter | None = None
    ) -> dict[str, Any]:
        """Some of the experiments that somebody sees, and how many there are."""
        owner = seen_by(principal)
        total, found = await self._do(
            lambda known: known.page(limit=limit, offset=offset, owner=owner, wanted=wanted)
        )
        current = [await self._reconciled(experiment) for experiment in found]
        # Without the prompts: there may be thousands, and each experiment's own page has them.
        listed = await asyncio.to_thread(lambda: [_listed(experiment) for experiment in current])
        return {"experiments": listed, "total": total, "limit": limit, "offset": offset}

    async def find(self, experiment_id: int, principal: Principal = LOCAL) -> Experiment:
        """One experiment as it stands. Raises ExperimentNotFound, for another's too."""
        return await self._reconciled(await self._get(experiment_id, seen_by(principal)))

    async def standing(self, experiment_id: int, principal: Principal) -> Standing:
        """How far one is, for those who follow it. A pending one may start yet: it is not over."""
        found = await self._get(experiment_id, seen_by(principal))
        if found.status == RUNNING and time.monotonic() - self._asked.get(found.id, -ASK_S) >= ASK_S:
            self._asked[found.id] = time.monotonic()
            found = await self._reconciled(found)
        over = found.status in (COMPLETED, FAILED, CANCELLED)
        begun = found.started_at is not None
        if over:
            self._asked.pop(found.id, None)
        return Standing(number=found.number, status=found.status, over=over, begun=begun, told=status(found))

    async def start(self, experiment_id: int, principal: Principal = LOCAL) -> Experiment:
        """Run it. Raises ExperimentNotFound, ModelNotFound, Conflict while it runs, ClusterError."""
        # One whose job died counts as failed, and may start again.
        before = await self.find(experiment_id, principal)
        spec = await asyncio.to_thread(json.loads, before.spec)
        for model in [*spec["models"], *([spec["judge"]["model"]] if spec.get("judge") else [])]:
            if not principal.may_ask(model):
                raise ModelNotFound(f"The model {model!r} does not exist here")
        submission_id = f"experiment-{before.id}-{secrets.token_hex(4)}"
        claimed = await self._do(lambda experiments: experiments.claim(experiment_id, submission_id))
        arguments = ["sweep", "run", "--batch", str(before.id), "--yes"]
        metadata = {"experiment": str(before.id), "name": before.name, "run": before.run_id}
        try:
            await asyncio.to_thread(
                partial(self._jobs.submit, arguments, submission_id=submission_id, metadata=metadata)
            )
        except HeliostatError as error:
            await self._fail(claimed, f"could not be submitted: {error.line()}")
            raise
        return await self._unless_cancelled(claimed, submission_id)

    async def _unless_cancelled(self, claimed: Experiment, submission_id: str) -> Experiment:
        """The claimed one; where it was cancelled before its job was known, the job is stopped here.

        It may have been started again since, which claimed it for another job.
        """
        try:
            now = await self._get(claimed.id)
        except ExperimentNotFound:
            await asyncio.to_thread(self._jobs.stop, submission_id)
            raise
        if now.status == CANCELLED or now.submission_id != submission_id:
            await asyncio.to_thread(self._jobs.stop, submission_id)
            return now
        return claimed

    async def delete(
        self, experiment_id: int, principal: Principal = LOCAL, *, seen: Experiment | None = None
    ) -> dict[str, Any]:
        """Cancel a running experiment, forget any other. seen: only in that state.

        Raises ExperimentNotFound, PreconditionFailed, ClusterError.
        """
        found = await self.find(experiment_id, principal)
        number = None if seen is None else seen.number
        if found.status != RUNNING:
            if await self._do(lambda known: known.remove(experiment_id, number=number)):
                return {"id": found.id, "status": found.status, "deleted": True}
            found = await self._get(experiment_id, seen_by(principal))  # it was started, or deleted, meanwhile
        if number is not None and found.number != number:
            raise etags.changed()
        # Noted before the job hears of it, so that its own last word, `failed`, comes too late.
        await self._do(lambda known: known.finish(experiment_id, found.submission_id, status=CANCELLED))
        if found.submission_id is not None:
            await asyncio.to_thread(self._jobs.stop, found.submission_id)
        return {"id": found.id, "status": (await self._get(experiment_id)).status, "deleted": False}

    async def label(
        self, experiment_id: int, labels: BatchLabels, principal: Principal, *, seen: Experiment | None = None
    ) -> Experiment:
        """Change its name, tags and such. seen: only in that state.

        Raises ExperimentNotFound, PreconditionFailed.
        """
        await self._get(experiment_id, seen_by(principal))
        number, values = (None if seen is None else seen.number), labels.values()
        if values and not await self._do(lambda known: known.label(experiment_id, values, number=number)):
            await self._get(experiment_id, seen_by(principal))  # gone meanwhile: that is not found
            raise etags.changed()
        return await self._get(experiment_id, seen_by(principal))

    async def _reconciled(self, found: Experiment) -> Experiment:
        """An experiment whose job has died is failed, though the job could not say so itself."""
        if found.status != RUNNING or found.submission_id is None:
            return found
        try:
            ended = await asyncio.to_thread(self._jobs.ended, found.submission_id)
        except NotFound:
            since = found.started_at or found.created_at
            if (datetime.now(UTC) - since).total_seconds() < SUBMIT_GRACE_S:
                return found
            ended = "the cluster that ran it is gone"
        except ClusterError:
            return found  # nobody knows; what was noted last is still the best answer
        if ended is None:
            return found
        # A job that ended well has written its end before: this changes only one that is still `running`.
        await self._fail(found, f"its job ended early: {ended}; start it again to go on")
        return await self._get(found.id)

    async def _fail(self, experiment: Experiment, message: str) -> None:
        identity, job = experiment.id, experiment.submission_id
        await self._do(lambda known: known.finish(identity, job, status=FAILED, error_message=message))

    async def _get(self, experiment_id: int, owner: str | None = None) -> Experiment:
        if not 0 < experiment_id <= LARGEST_ID:
            hint = "GET /api/experiments/batch lists all"
            raise ExperimentNotFound(f"No experiment with the id {experiment_id}", hint=hint)
        return await self._do(lambda experiments: experiments.get(experiment_id, owner=owner))

    async def _do(self, work: Callable[[Experiments], Result]) -> Result:
        return await asyncio.to_thread(work, self._experiments)


def seen_by(principal: Principal) -> str | None:
    """Whose experiments somebody sees; None is everybody's."""
    return None if principal.role is Role.ADMIN else principal.owner


def _listed(experiment: Experiment) -> dict[str, Any]:
    return {name: value for name, value in whole(experiment).items() if name != "prompts"}
