"""The routes of single experiments' answers, under `/api/responses`: generated, listed, shown."""

import asyncio
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request
from starlette.responses import Response

from cluster.stores.lab_experiments import RUNNING
from cluster.stores.lab_responses import SORTS, LabResponse, LabResponses, ResponseFilter, unknown
from deployments.gateway.bodies import json_body
from deployments.gateway.lab import etags, experiment_shown
from deployments.gateway.lab.batch_desk import seen_by
from deployments.gateway.lab.experiment_desk import ExperimentDesk
from deployments.gateway.lab.generation import SMALL, Generations
from deployments.gateway.lab.paging import LARGEST_ID, Flag, Offset, Sort, flag, sorted_by
from deployments.gateway.lab.strict_route import StrictRoute
from deployments.gateway.lab.wire import GenerateRequest
from deployments.gateway.parsing import parse
from deployments.gateway.principal import Principal, principal_of
from pipelines.sweeps.spec import NO_NUL

WAIT_S = 20.0  # for a small generation; what takes longer goes on and is told of by its progress

OfExperiment = Annotated[int, Path(alias="experimentId", description="An experiment's id.")]
ResponseId = Annotated[int, Path(alias="id", description="An answer's id.")]
Limit = Annotated[int, Query(ge=1, le=1000)]
Model = Annotated[str | None, Query(max_length=256, pattern=NO_NUL)]
Temperature = Annotated[float | None, Query(ge=0, le=2)]
TopP = Annotated[float | None, Query(gt=0, le=1)]


class ResponseDesk:
    """What the routes do."""

    def __init__(self, experiments: ExperimentDesk, responses: LabResponses, generations: Generations) -> None:
        self._experiments = experiments
        self._responses = responses
        self._generations = generations

    async def generate(self, wanted: GenerateRequest, principal: Principal) -> tuple[int, dict[str, Any]]:
        """Ask for what is missing: a status, and what is there now.

        200: nothing was missing. 201: all is there. 202: it goes on. Raises ExperimentNotFound, ModelNotFound,
        UnsupportedParameter, and Conflict while the experiment runs.
        """
        experiment = await self._experiments.find(wanted.experiment_id, principal)
        asked = await self._generations.wanted(experiment, wanted.model, principal)
        if asked.cells:
            task = await self._generations.begin(asked)
            if len(asked.cells) <= SMALL:
                await asyncio.wait({task}, timeout=WAIT_S)
            experiment = await self._experiments.find(experiment.id, principal)
        told = experiment_shown.standing(experiment)
        told = {"experiment_id": told.pop("id"), **told, "model": wanted.model}
        if experiment.status == RUNNING:
            return 202, {**told, "progress_url": f"/api/experiments/{experiment.id}/progress"}
        found = await asyncio.to_thread(lambda: self._responses.of(experiment.id, model=wanted.model))
        cells = asked.total
        told |= {"total_combinations": cells, "responses": [experiment_shown.response(one) for one in found]}
        return (201 if asked.cells else 200), told

    async def page(
        self, experiment_id: int, principal: Principal, *, limit: int, offset: int, wanted: ResponseFilter
    ) -> tuple[int, list[LabResponse]]:
        """How many answers an experiment has, and some of them. Raises ExperimentNotFound."""
        experiment = await self._experiments.find(experiment_id, principal)
        total, found = await asyncio.to_thread(
            lambda: self._responses.page(experiment.id, limit=limit, offset=offset, wanted=wanted)
        )
        return total, list(found)

    async def find(self, response_id: int, principal: Principal) -> LabResponse:
        """One answer. Raises ResponseNotFound, for another's too."""
        if not 0 < response_id <= LARGEST_ID:
            raise unknown(response_id)
        owner = seen_by(principal)
        return await asyncio.to_thread(lambda: self._responses.get(response_id, owner=owner))


def router(desk: ResponseDesk) -> APIRouter:
    """The routes."""
    routes = APIRouter(prefix="/api/responses", tags=["Experiments"], route_class=StrictRoute)

    @routes.post(
        "/generate",
        status_code=201,
        summary="Generate an experiment's answers: small ones at once, others in the background (202)",
        openapi_extra=json_body(GenerateRequest),
    )
    async def generate(request: Request) -> Response:
        wanted = parse(GenerateRequest, await request.body())
        status, told = await desk.generate(wanted, principal_of(request))
        headers = {"location": told["progress_url"]} if status == 202 else None
        return await etags.told(request, lambda: told, status=status, headers=headers)

    @routes.get("/single/{id}", summary="One answer")
    async def show(response_id: ResponseId, request: Request) -> Response:
        found = await desk.find(response_id, principal_of(request))
        return etags.answer(request, experiment_shown.response(found))

    @routes.get("/{experimentId}", summary="An experiment's answers, the oldest first")
    async def page(
        experiment_id: OfExperiment,
        request: Request,
        limit: Limit = 200,
        offset: Offset = 0,
        model: Model = None,
        temperature: Temperature = None,
        top_p: TopP = None,
        failed: Flag = None,
        sort: Sort = "id",
    ) -> Response:
        wanted = ResponseFilter(
            model=model, temperature=temperature, top_p=top_p, failed=flag(failed), sort=sorted_by(sort, SORTS)
        )
        total, found = await desk.page(
            experiment_id, principal_of(request), limit=limit, offset=offset, wanted=wanted
        )
        content = {"experiment_id": experiment_id, "total": total, "limit": limit, "offset": offset}
        return await etags.told(
            request, lambda: {"responses": [experiment_shown.response(one) for one in found], **content}
        )

    return routes
