"""The routes of single experiments, under `/api/experiments`."""

from typing import Any, Literal

from fastapi import APIRouter, Request
from starlette.responses import Response

from cluster.errors import BadRequest
from deployments.gateway.bodies import json_body
from deployments.gateway.lab import etags
from deployments.gateway.lab.experiment_desk import ExperimentDesk, shown
from deployments.gateway.lab.paging import ExperimentId, Page
from deployments.gateway.lab.strict_route import StrictRoute
from deployments.gateway.lab.wire import ExperimentRequest
from deployments.gateway.parsing import json_object, parse
from deployments.gateway.principal import principal_of
from deployments.gateway.progress import Seen, last_event, streamed

FIELDS = "fields such as name and tags"
Status = Literal["draft", "running", "completed", "failed", "cancelled"]


def router(desk: ExperimentDesk) -> APIRouter:
    """The routes. They come after those of batches, as `batch` would be an id to them."""
    routes = APIRouter(prefix="/api/experiments", tags=["Experiments"], route_class=StrictRoute)
    _reading_routes(routes, desk)
    _writing_routes(routes, desk)
    return routes


def _reading_routes(routes: APIRouter, desk: ExperimentDesk) -> None:
    @routes.get("", summary="The experiments, the newest first")
    async def page(
        request: Request,
        asked: Page,
        status: Status | None = None,
        experiment_type: Literal["single", "batch"] = "single",
    ) -> Response:
        if experiment_type == "batch":
            hint = "GET /api/experiments/batch lists them"
            raise BadRequest("Batches are listed elsewhere", hint=hint, param="experiment_type")
        total, found = await desk.page(asked.limit, asked.offset, principal_of(request), asked.of(status))
        return await etags.told(
            request, lambda: {"experiments": [shown(one) for one in found], **asked.told(total)}
        )

    @routes.get("/{id}", summary="One experiment")
    async def show(experiment_id: ExperimentId, request: Request) -> Response:
        found = await desk.find(experiment_id, principal_of(request))
        return etags.answer(request, shown(found), tag=_tag(found.id, found.number))

    @routes.get(
        "/{id}/progress",
        summary="How far its answers are, as events, after Last-Event-ID and until its end; 204 where none come",
        response_class=Response,
    )
    async def progress(experiment_id: ExperimentId, request: Request, after: Seen = 0) -> Response:
        principal, seen = principal_of(request), last_event(request, after)
        return await streamed(lambda: desk.standing(experiment_id, principal), after=seen)


def _writing_routes(routes: APIRouter, desk: ExperimentDesk) -> None:
    body = json_body(ExperimentRequest)

    @routes.post("", status_code=201, summary="Create an experiment", openapi_extra=body)
    async def create(request: Request) -> Response:
        sent = parse(ExperimentRequest, await request.body())
        made = await desk.create(sent, principal_of(request))
        headers = {"location": f"/api/experiments/{made.id}"}
        return etags.answer(request, shown(made), tag=_tag(made.id, made.number), status=201, headers=headers)

    async def change(experiment_id: ExperimentId, request: Request) -> Response:
        sent, principal = json_object(await request.body(), hint=FIELDS), principal_of(request)
        before = await desk.find(experiment_id, principal)
        seen = etags.check(request, _tag(before.id, before.number))
        found = await desk.change(before, sent, principal, seen=seen)
        return etags.answer(request, shown(found), tag=_tag(found.id, found.number))

    summary = "Change some of its fields; those that are not named stay"
    routes.put("/{id}", summary=summary, openapi_extra=body)(change)
    routes.patch("/{id}", summary=summary, openapi_extra=body)(change)

    @routes.delete("/{id}", summary="Cancel a running one, delete any other with its answers")
    async def delete(experiment_id: ExperimentId, request: Request) -> dict[str, Any]:
        before = await desk.find(experiment_id, principal_of(request))
        return await desk.delete(before, seen=etags.check(request, _tag(before.id, before.number)))


def _tag(identity: int, number: int) -> str:
    return etags.tag_of("e", identity, number)
