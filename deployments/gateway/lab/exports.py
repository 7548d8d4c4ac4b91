"""The routes of exports, under `/api/export`: one row a cell, the parameters and scores as columns of their own."""

from functools import partial
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Query, Request
from starlette.responses import Response

from deployments.gateway.bodies import json_body
from deployments.gateway.lab import etags
from deployments.gateway.lab.analytics import AnalyticsDesk, Metric, Selected
from deployments.gateway.lab.export_desk import ANALYTICS, ExportDesk
from deployments.gateway.lab.paging import ExperimentId
from deployments.gateway.lab.strict_route import StrictRoute
from deployments.gateway.lab.wire import BatchExport, CustomExport
from deployments.gateway.parsing import parse
from deployments.gateway.principal import principal_of

Table = Literal["json", "csv"]
Kind = Annotated[
    Literal["trends", "breakdown", "models", "optimization", "correlation", "insights"],
    Path(alias="type", description="Which statistics."),
]


def router(desk: ExportDesk, analytics: AnalyticsDesk) -> APIRouter:
    """The routes."""
    routes = APIRouter(prefix="/api/export", tags=["Exports"], route_class=StrictRoute)

    @routes.post("/batch", summary="A batch's rows, or its report", openapi_extra=json_body(BatchExport))
    async def batch(request: Request) -> Response:
        return await desk.batch(parse(BatchExport, await request.body()), principal_of(request))

    @routes.post(
        "/custom", summary="The rows of several experiments together", openapi_extra=json_body(CustomExport)
    )
    async def custom(request: Request) -> Response:
        return await desk.custom(parse(CustomExport, await request.body()), principal_of(request))

    # Before `/{id}/csv`, whose id it would be.
    @routes.get("/analytics/{type}", summary="Statistics as a file")
    async def statistics(
        kind: Kind,
        request: Request,
        selected: Selected,
        format: Annotated[Table, Query()] = "json",  # noqa: A002 - the seed's name
        metric: Metric = None,
    ) -> Response:
        material = await analytics.material(selected, principal_of(request))
        told: dict[str, Any] = {
            **selected.told(),
            **await analytics.told(ANALYTICS[kind].path, material, metric),
        }
        return await desk.statistics(kind, told, format, partial(etags.has, request))

    @routes.get("/{id}", summary="An experiment and its rows, as JSON")
    async def experiment(experiment_id: ExperimentId, request: Request) -> Response:
        return await desk.experiment(experiment_id, principal_of(request), "json", partial(etags.has, request))

    @routes.get("/{id}/csv", summary="An experiment's rows, as CSV")
    async def experiment_csv(experiment_id: ExperimentId, request: Request) -> Response:
        return await desk.experiment(experiment_id, principal_of(request), "csv", partial(etags.has, request))

    return routes
