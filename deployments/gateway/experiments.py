"""Batch experiments: sweeps that are created, started, watched and cancelled over HTTP.

An experiment lives in the SQL database, runs as a Ray job (`python -m pipelines sweep run --batch ID`), and
leaves its rows in the run's Parquet. total_combinations counts cells: combinations of the parameters, times
prompts, times models, times response_count. A figure that is not known yet is null.
"""

import asyncio
import json
import secrets
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import partial
from pathlib import Path as FilePath
from typing import Annotated, Any, Protocol, TypeVar

from fastapi import APIRouter, Path, Query, Request
from pydantic_core import from_json
from sqlalchemy import Engine

from cluster.errors import BadRequest, ClusterError, ExperimentNotFound, HeliostatError, ModelNotFound, NotFound
from cluster.settings.tree import Settings
from cluster.stores.experiments import CANCELLED, FAILED, RUNNING, Experiment, Experiments
from deployments.clients import ChatModel
from deployments.gateway.bodies import json_body
from deployments.gateway.principal import LOCAL, Principal, Role, principal_of
from pipelines.sweeps.display import duration
from pipelines.sweeps.plan import Plan
from pipelines.sweeps.spec import BatchSpec, SweepSpec, read_spec

Result = TypeVar("Result")

LARGEST_ID = 2**31 - 1  # of a PostgreSQL integer
SUBMIT_GRACE_S = 60.0  # between claiming an experiment and the job being known to Ray

ExperimentId = Annotated[int, Path(alias="id", description="As `POST /api/experiments/batch` gave it.")]
Limit = Annotated[int, Query(ge=1, le=200)]
Offset = Annotated[int, Query(ge=0, le=LARGEST_ID)]


class Jobs(Protocol):
    """Where sweeps run. All calls block."""

    def submit(self, arguments: list[str], *, submission_id: str, metadata: dict[str, str]) -> None:
        """Start `python -m pipelines …`. Raises ClusterError, NotRunning."""
        ...

    def ended(self, submission_id: str) -> str | None:
        """What Ray says of a job that has ended; None while it runs. Raises NotFound, ClusterError."""
        ...

    def stop(self, submission_id: str) -> None:
        """End a job; one that is unknown or has ended is let be. Raises ClusterError."""
        ...


class RayJobs:
    """Jobs of this cluster."""

    def __init__(self, home: FilePath) -> None:
        self._home = home

    def submit(self, arguments: list[str], *, submission_id: str, metadata: dict[str, str]) -> None:
        """Start `python -m pipelines …`."""
        from cluster.runtime import jobs

        entrypoint = jobs.pipeline(*arguments)
        jobs.submit(entrypoint, submission_id=submission_id, metadata=metadata, home=self._home)

    def ended(self, submission_id: str) -> str | None:
        """What Ray says of a job that has ended; None while it runs."""
        from cluster.runtime import jobs

        job = jobs.job_status(submission_id, home=self._home)
        return (job.message or job.status) if job.finished else None

    def stop(self, submission_id: str) -> None:
        """End a job."""
        from cluster.runtime import jobs

        try:
            jobs.stop_job(submission_id, home=self._home)
        except NotFound:
            return


def router(
    settings: Settings,
    models: Mapping[str, ChatModel],
    engine: Engine,
    jobs: Jobs | None = None,
    desk: "Desk | None" = None,
) -> APIRouter:
    """The routes under `/api/experiments`. jobs: Ray's, unless a test brings others. desk: of another API, too."""
    routes = APIRouter(prefix="/api/experiments", tags=["Experiments"])
    desk = desk or Desk(settings, models, Experiments(engine), jobs or RayJobs(settings.home_path))

    @routes.post(
        "/batch",
        status_code=201,
        summary="Create a batch experiment",
        openapi_extra=json_body(BatchSpec, SweepSpec),
    )
    async def create(request: Request) -> dict[str, Any]:
        return await desk.create(await request.body(), principal_of(request))

    @routes.get("/batch", summary="The batch experiments, the newest first")
    async def page(request: Request, limit: Limit = 50, offset: Offset = 0) -> dict[str, Any]:
        return await desk.page(limit, offset, principal_of(request))

    @routes.get("/batch/{id}", summary="One batch experiment")
    async def show(experiment_id: ExperimentId, request: Request) -> dict[str, Any]:
        return whole(await desk.find(experiment_id, principal_of(request)))

    @routes.post("/batch/{id}/start", summary="Run it, or go on with one that ended early")
    async def start(experiment_id: ExperimentId, request: Request) -> dict[str, Any]:
        return _status(await desk.start(experiment_id, principal_of(request)))

    @routes.get("/batch/{id}/status", summary="How far it is")
    async def status(experiment_id: ExperimentId, request: Request) -> dict[str, Any]:
        return _status(await desk.find(experiment_id, principal_of(request)))

    @routes.delete("/batch/{id}", summary="Cancel a running one, delete any other; stored rows stay")
    async def delete(experiment_id: ExperimentId, request: Request) -> dict[str, Any]:
        return await desk.delete(experiment_id, principal_of(request))

    return routes


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

    async def create(self, body: bytes, principal: Principal = LOCAL) -> dict[str, Any]:
        """Store an experiment. Raises BadRequest, NothingToRun, PlanTooLarge, ModelNotFound."""
        # In a thread: a spec may hold a million prompts, and other requests go on meanwhile.
        spec, plan = await asyncio.to_thread(self._planned, body, principal)
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
        pace = await asyncio.to_thread(experiments.pace, spec.models)
        return {
            "id": made.id,
            "status": made.status,
            "total_combinations": made.total_combinations,
            "estimated_duration": duration(60 * plan.total / pace) if pace else None,
            "created_at": _time(made.created_at),
            "notes": list(plan.notes()),
        }

    def _planned(self, body: bytes, principal: Principal) -> tuple[SweepSpec, Plan]:
        spec = _read(body)
        plan = Plan(spec=spec)
        plan.check(self._settings.sweeps.max_cells, list(filter(principal.may_ask, self._models)))
        return spec, plan

    async def page(self, limit: int, offset: int, principal: Principal = LOCAL) -> dict[str, Any]:
        """Some of the experiments that somebody sees, and how many there are."""
        owner = _seen_by(principal)
        total, found = await self._do(lambda known: known.page(limit=limit, offset=offset, owner=owner))
        current = [await self._reconciled(experiment) for experiment in found]
        # Without the prompts: there may be thousands, and each experiment's own page has them.
        listed = [{k: v for k, v in whole(experiment).items() if k != "prompts"} for experiment in current]
        return {"experiments": listed, "total": total, "limit": limit, "offset": offset}

    async def find(self, experiment_id: int, principal: Principal = LOCAL) -> Experiment:
        """One experiment as it stands. Raises ExperimentNotFound, for another's too."""
        return await self._reconciled(await self._get(experiment_id, _seen_by(principal)))

    async def start(self, experiment_id: int, principal: Principal = LOCAL) -> Experiment:
        """Run it. Raises ExperimentNotFound, ModelNotFound, Conflict while it runs, ClusterError."""
        # One whose job died counts as failed, and may start again.
        before = await self.find(experiment_id, principal)
        for model in json.loads(before.spec)["models"]:
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
        return claimed

    async def delete(self, experiment_id: int, principal: Principal = LOCAL) -> dict[str, Any]:
        """Cancel a running experiment, forget any other. Raises ExperimentNotFound, ClusterError."""
        found = await self.find(experiment_id, principal)
        if found.status != RUNNING and await self._do(lambda experiments: experiments.remove(experiment_id)):
            return {"id": found.id, "status": found.status, "deleted": True}
        # Noted before the job hears of it, so that its own last word, `failed`, comes too late.
        await self._do(lambda experiments: experiments.finish(experiment_id, found.submission_id, status=CANCELLED))
        if found.submission_id is not None:
            await asyncio.to_thread(self._jobs.stop, found.submission_id)
        return {"id": found.id, "status": (await self._get(experiment_id)).status, "deleted": False}

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


def _seen_by(principal: Principal) -> str | None:
    """Whose experiments somebody sees; None is everybody's."""
    return None if principal.role is Role.ADMIN else principal.owner


def _read(body: bytes) -> SweepSpec:
    try:
        data = from_json(body, allow_inf_nan=False)
    except ValueError as error:
        raise BadRequest(f"The body is not valid JSON: {error}", hint="send one JSON object") from None
    if not isinstance(data, dict):
        raise BadRequest("The body must be a JSON object", hint="fields such as name, prompt and parameter_ranges")
    return read_spec(data)


def _status(experiment: Experiment) -> dict[str, Any]:
    return {
        "id": experiment.id,
        "status": experiment.status,
        "progress": experiment.progress,
        "completed_combinations": experiment.completed_combinations,
        "failed_combinations": experiment.failed_combinations,
        "total_combinations": experiment.total_combinations,
        "current_parameters": experiment.current_parameters if experiment.status == RUNNING else None,
        "estimated_completion": _time(experiment.estimated_completion),
        "results_preview": experiment.results_summary,
        "error_message": experiment.error_message,
    }


def whole(experiment: Experiment) -> dict[str, Any]:
    """An experiment as its routes answer it."""
    spec = json.loads(experiment.spec)
    prompts = [prompt["text"] for prompt in spec["prompts"]]
    return {
        "id": experiment.id,
        "name": experiment.name,
        "description": experiment.description,
        "prompt": prompts[0] if len(prompts) == 1 else None,
        "prompts": prompts,
        "model": spec["models"][0] if len(spec["models"]) == 1 else None,
        "models": spec["models"],
        "parameter_ranges": spec["parameters"],
        "response_count": spec["repeats"],
        "seeds": spec["seeds"],
        "run_id": experiment.run_id,
        **_status(experiment),
        "started_at": _time(experiment.started_at),
        "completed_at": _time(experiment.completed_at),
        "created_at": _time(experiment.created_at),
        "updated_at": _time(experiment.updated_at),
    }


def _time(moment: datetime | None) -> str | None:
    return None if moment is None else moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
