"""The routes of statistics: of one batch under its own path, of one or of all under `/api/analytics`."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Query, Request
from starlette.responses import Response

from cluster.errors import BadRequest
from deployments.gateway.lab import etags, shapes
from deployments.gateway.lab.material import Framed, Kind, Material, Materials
from deployments.gateway.lab.paging import LARGEST_ID, ExperimentId
from deployments.gateway.lab.strict_route import StrictRoute
from deployments.gateway.principal import Principal, principal_of

MOST_DAYS = 3660
DEFAULT_DAYS = 30
FACTORS = {"d": 1, "w": 7, "y": 365}  # days

Timeframe = Annotated[
    str | None,
    Query(pattern=r"^[1-9][0-9]{0,3}[dwy]$", description="How far back, as `30d`, `4w` or `1y`."),
]
Metric = Annotated[str | None, Query(max_length=64, description="A score; `overall` where there is one.")]
OfBatch = Annotated[int | None, Query(ge=1, le=LARGEST_ID, description="A batch's id.")]
OfExperiment = Annotated[int | None, Query(ge=1, le=LARGEST_ID, description="A single experiment's id.")]
Type = Literal["single", "batch"] | None

SHAPES: dict[str, shapes.Shape] = {
    "quality/trends": shapes.trends,
    "quality/breakdown": shapes.breakdown,
    "models/comparison": shapes.models,
    "parameters/optimization": shapes.optimization,
    "parameters/correlation": shapes.correlations,
    "parameters/insights": shapes.insights,
}
"""What is computed, by its path."""

ANALYSIS = "analysis"  # all of one batch, by the name under which it is kept

SUMMARIES = {
    "quality/trends": "Quality day by day, and whether it changes",
    "quality/breakdown": "Every score: mean, interval, spread",
    "models/comparison": "The models, and every pair tested",
    "parameters/optimization": "The best value of each parameter, and how sure that is",
    "parameters/correlation": "Parameters with scores, within prompts",
    "parameters/insights": "What can be said, in sentences that cite their tests",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Which rows: of one batch, of one experiment, or of all in a timeframe."""

    batch_id: int | None = None
    experiment_id: int | None = None
    timeframe: str | None = None
    kind: Kind | None = None

    @property
    def days(self) -> int | None:
        """Of the timeframe; None for all of one batch or experiment. Raises BadRequest."""
        if self.timeframe is None:
            return None if self.batch_id or self.experiment_id else DEFAULT_DAYS
        days = int(self.timeframe[:-1]) * FACTORS[self.timeframe[-1]]
        if days > MOST_DAYS:
            raise BadRequest(f"{self.timeframe} is over {MOST_DAYS} days", hint="as 30d", param="timeframe")
        return days

    def told(self) -> dict[str, Any]:
        """As answers name it."""
        return {
            "timeframe": self.timeframe if self.timeframe or not self.days else f"{self.days}d",
            "experiment_type": self.kind,
            "batch_id": self.batch_id,
            "experiment_id": self.experiment_id,
        }


async def selection(  # not `def`, which FastAPI would send to a thread
    timeframe: Timeframe = None,
    experiment_type: Type = None,
    batch_id: OfBatch = None,
    experiment_id: OfExperiment = None,
) -> Selection:
    """The rows that a query names."""
    return Selection(batch_id=batch_id, experiment_id=experiment_id, timeframe=timeframe, kind=experiment_type)


Selected = Annotated[Selection, Depends(selection)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """What was computed. state: of the rows. told: as it is answered."""

    state: str
    told: Mapping[str, Any]


class AnalyticsDesk:
    """What the routes do."""

    def __init__(self, materials: Materials) -> None:
        self._materials = materials

    async def material(self, selection: Selection, principal: Principal) -> Material:
        """The rows that are meant. Raises ExperimentNotFound, BadRequest for what contradicts itself."""
        batch, single, days = selection.batch_id, selection.experiment_id, selection.days
        if batch is not None and single is not None:
            raise BadRequest("Name a batch or an experiment, not both", param="experiment_id")
        if (batch and selection.kind == "single") or (single and selection.kind == "batch"):
            raise BadRequest("What is named is not of that type", param="experiment_type")
        if batch is not None:
            return (await self._materials.batch(batch, principal))[1].of_days(days)
        if single is not None:
            return (await self._materials.experiment(single, principal))[1].of_days(days)
        return await self._materials.recent(principal, days=days or DEFAULT_DAYS, kind=selection.kind)

    async def told(self, name: str, material: Material, metric: str | None) -> dict[str, Any]:
        """One shape of SHAPES. Raises BadRequest for an unknown score."""
        return dict((await self._shaped(name, material, metric)).told)

    async def answer(
        self, request: Request, name: str, material: Material, metric: str | None, head: Mapping[str, Any]
    ) -> Response:
        """The same as an answer, `head` before it; nothing is computed where the client has it."""

        def tag_of(state: str) -> str:
            return etags.tag_of_rows(state, name, metric, material.key, tuple(head.items()))

        if etags.has(request, tag := tag_of(material.state)):
            return etags.unchanged(tag)
        found = await self._shaped(name, material, metric)
        if etags.has(request, tag := tag_of(found.state)):  # of a moment ago
            return etags.unchanged(tag)
        return await etags.told(request, lambda: {**head, **found.told}, tag=tag)

    async def analysis(self, request: Request, batch_id: int, metric: str | None) -> Response:
        """All of one batch. Raises ExperimentNotFound, BadRequest."""
        found, material = await self._materials.batch(batch_id, principal_of(request))
        head = {"batch_id": found.id, "name": found.name, "status": found.status}
        return await self.answer(request, ANALYSIS, material, metric, head)

    async def _shaped(self, name: str, material: Material, metric: str | None) -> Figures:
        shape = shapes.analysis if name == ANALYSIS else SHAPES[name]

        def work(found: Framed) -> Figures:
            chosen = shapes.metric_of(found.frame, metric)
            head = shapes.head(found.frame, chosen)
            told = {**head, **shape(found.frame, chosen), **found.coverage.told()}
            if name == ANALYSIS:
                told["preferences"] = shapes.preferred(found.preferences)
            return Figures(state=found.state, told=told)

        return await self._materials.figure(material, f"{name} {metric!r}", work)


def router(desk: AnalyticsDesk) -> APIRouter:
    """The routes under `/api/analytics`."""
    routes = APIRouter(prefix="/api/analytics", tags=["Analytics"], route_class=StrictRoute)
    for name in SHAPES:
        _add(routes, name, desk)
    return routes


def _add(routes: APIRouter, name: str, desk: AnalyticsDesk) -> None:
    @routes.get(f"/{name}", summary=SUMMARIES[name])
    async def shape(request: Request, selected: Selected, metric: Metric = None) -> Response:
        material = await desk.material(selected, principal_of(request))
        return await desk.answer(request, name, material, metric, selected.told())


def batch_router(desk: AnalyticsDesk) -> APIRouter:
    """The statistics of one batch, under its own path."""
    routes = APIRouter(prefix="/api/experiments/batch", tags=["Experiments"], route_class=StrictRoute)

    @routes.get("/{id}/analysis", summary="All statistics of a batch")
    async def analysis(experiment_id: ExperimentId, request: Request, metric: Metric = None) -> Response:
        return await desk.analysis(request, experiment_id, metric)

    async def part(name: str, batch_id: int, request: Request, metric: str | None) -> Response:
        material = await desk.material(Selection(batch_id=batch_id), principal_of(request))
        return await desk.answer(request, name, material, metric, {"batch_id": batch_id})

    @routes.get("/{id}/optimization", summary="The best value of each parameter, and how sure that is")
    async def optimization(experiment_id: ExperimentId, request: Request, metric: Metric = None) -> Response:
        return await part("parameters/optimization", experiment_id, request, metric)

    @routes.get("/{id}/insights", summary="What can be said of a batch, in sentences that cite their tests")
    async def insights(experiment_id: ExperimentId, request: Request, metric: Metric = None) -> Response:
        return await part("parameters/insights", experiment_id, request, metric)

    return routes
