"""The routes of batch experiments: created, listed, labelled, started, watched, cancelled."""

from collections.abc import Mapping
from typing import Any, Literal

from fastapi import APIRouter, Request
from sqlalchemy import Engine
from starlette.responses import Response

from cluster.settings.tree import Settings
from cluster.stores.experiments import Experiment, Experiments
from deployments.clients import ChatModel
from deployments.gateway.bodies import json_body
from deployments.gateway.lab import etags
from deployments.gateway.lab.batch_desk import Desk
from deployments.gateway.lab.batch_shown import status as shown_status
from deployments.gateway.lab.batch_shown import whole
from deployments.gateway.lab.jobs import Jobs, RayJobs
from deployments.gateway.lab.paging import ExperimentId, Page
from deployments.gateway.lab.strict_route import StrictRoute
from deployments.gateway.lab.wire import BatchLabels
from deployments.gateway.parsing import parse
from deployments.gateway.principal import principal_of
from deployments.gateway.progress import Seen, last_event, streamed
from pipelines.sweeps.spec import BatchSpec, SweepSpec

Status = Literal["pending", "running", "completed", "failed", "cancelled"]


def router(
    settings: Settings,
    models: Mapping[str, ChatModel],
    engine: Engine,
    jobs: Jobs | None = None,
    desk: Desk | None = None,
) -> APIRouter:
    """The routes under `/api/experiments/batch`. jobs: Ray's, unless a test brings others. desk: shared."""
    return routes_of(desk or Desk(settings, models, Experiments(engine), jobs or RayJobs(settings.home_path)))


def routes_of(desk: Desk) -> APIRouter:
    """The same, of a desk that is there."""
    routes = APIRouter(prefix="/api/experiments", tags=["Experiments"], route_class=StrictRoute)
    _routes(routes, desk)
    _running_routes(routes, desk)
    return routes


def _routes(routes: APIRouter, desk: Desk) -> None:
    @routes.post(
        "/batch",
        status_code=201,
        summary="Create a batch experiment",
        openapi_extra=json_body(BatchSpec, SweepSpec),
    )
    async def create(request: Request) -> dict[str, Any]:
        return await desk.create(await request.body(), principal_of(request))

    @routes.post(
        "/batch/plan",
        summary="What a batch would take: cells, tokens, time, cost, the smallest difference it can show",
        openapi_extra=json_body(BatchSpec, SweepSpec),
    )
    async def plan(request: Request) -> dict[str, Any]:
        return await desk.plan(await request.body(), principal_of(request))

    @routes.get("/batch", summary="The batch experiments, the newest first")
    async def page(request: Request, asked: Page, status: Status | None = None) -> Response:
        found = await desk.page(asked.limit, asked.offset, principal_of(request), asked.of(status))
        return await etags.told(request, lambda: found)

    @routes.get("/batch/{id}", summary="One batch experiment")
    async def show(experiment_id: ExperimentId, request: Request) -> Response:
        found = await desk.find(experiment_id, principal_of(request))
        return await etags.told(request, lambda: whole(found), tag=_tag(found))

    @routes.patch(
        "/batch/{id}",
        summary="Label it: name, description, tags, favourite, archive",
        openapi_extra=json_body(BatchLabels),
    )
    async def label(experiment_id: ExperimentId, request: Request) -> Response:
        labels, principal = parse(BatchLabels, await request.body()), principal_of(request)
        before = await desk.find(experiment_id, principal)
        seen = before if etags.check(request, _tag(before)) else None
        found = await desk.label(experiment_id, labels, principal, seen=seen)
        return await etags.told(request, lambda: whole(found), tag=_tag(found))

    @routes.delete("/batch/{id}", summary="Cancel a running one, delete any other; stored rows stay")
    async def delete(experiment_id: ExperimentId, request: Request) -> dict[str, Any]:
        principal = principal_of(request)
        before = await desk.find(experiment_id, principal)
        seen = before if etags.check(request, _tag(before)) else None
        return await desk.delete(experiment_id, principal, seen=seen)


def _running_routes(routes: APIRouter, desk: Desk) -> None:
    @routes.post("/batch/{id}/start", summary="Run it, or go on with one that ended early")
    async def start(experiment_id: ExperimentId, request: Request) -> dict[str, Any]:
        return shown_status(await desk.start(experiment_id, principal_of(request)))

    @routes.get("/batch/{id}/status", summary="How far it is")
    async def status(experiment_id: ExperimentId, request: Request) -> Response:
        return etags.answer(request, shown_status(await desk.find(experiment_id, principal_of(request))))

    @routes.get(
        "/batch/{id}/progress",
        summary="The same as events, after Last-Event-ID and live until its end; 204 where nothing comes any more",
        response_class=Response,
    )
    async def progress(experiment_id: ExperimentId, request: Request, after: Seen = 0) -> Response:
        principal, seen = principal_of(request), last_event(request, after)
        return await streamed(lambda: desk.standing(experiment_id, principal), after=seen)


def _tag(experiment: Experiment) -> str:
    return etags.tag_of("b", experiment.id, experiment.number)
