"""The routes of answers' scores, under `/api/metrics`."""

import asyncio
import json
from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, Path, Request
from starlette.responses import Response

from cluster.errors import BadRequest
from cluster.stores.lab_metrics import LabMetric, LabMetrics
from cluster.stores.lab_responses import LabResponse, LabResponses, table_of, unknown
from deployments.gateway.bodies import json_body
from deployments.gateway.lab import etags
from deployments.gateway.lab.batch_desk import seen_by
from deployments.gateway.lab.kept import Kept
from deployments.gateway.lab.moments import moment
from deployments.gateway.lab.paging import LARGEST_ID
from deployments.gateway.lab.scores import Scoring
from deployments.gateway.lab.strict_route import StrictRoute
from deployments.gateway.lab.threads import Turns
from deployments.gateway.lab.wire import ResponseIds
from deployments.gateway.parsing import parse
from deployments.gateway.principal import Principal, principal_of

if TYPE_CHECKING:
    import pyarrow as pa

SCORES = (
    "coherence",
    "completeness",
    "readability",
    "length_appropriateness",
    "creativity",
    "specificity",
    "overall",
)
"""The scores that the seed's table has columns of."""

NO_CONFIDENCE = "a score of one answer has no interval: that takes several prompts"
NO_TEST = "answers to one prompt are no sample of prompts, so their difference is not tested"

OfResponse = Annotated[int, Path(alias="responseId", description="An answer's id.")]


class MetricDesk:
    """What the routes do. Scores are computed with those of the same experiment, and kept while these are all."""

    def __init__(self, responses: LabResponses, metrics: LabMetrics, scoring: Scoring) -> None:
        self._responses = responses
        self._metrics = metrics
        self._scoring = scoring
        self._computed = Kept(64)
        self._turns = Turns()

    async def of(self, response_ids: Sequence[int], principal: Principal) -> list[tuple[LabResponse, LabMetric]]:
        """The scores of answers, in their order. Raises ResponseNotFound, and BadRequest for a failed one."""
        owner = seen_by(principal)
        found = await asyncio.to_thread(lambda: self._responses.several(response_ids, owner=owner))
        if len(found) < len(response_ids):
            there = {one.id for one in found}
            place = next(place for place, number in enumerate(response_ids) if number not in there)
            raise unknown(response_ids[place], param=f"response_ids[{place}]")
        metrics: dict[int, LabMetric] = {}
        for experiment_id in dict.fromkeys(one.experiment_id for one in found):
            own = [one for one in found if one.experiment_id == experiment_id]
            metrics |= await self._of_experiment(experiment_id, own)
        gone = next((place for place, one in enumerate(found) if one.id not in metrics), None)
        if gone is not None:  # deleted while the others were scored
            raise unknown(response_ids[gone], param=f"response_ids[{gone}]")
        return [(one, metrics[one.id]) for one in found]

    async def _of_experiment(self, experiment_id: int, wanted: Sequence[LabResponse]) -> dict[int, LabMetric]:
        for one in wanted:
            if one.error_code is not None:
                raise BadRequest(
                    f"The response {one.id} has no text to score: {one.error_message}",
                    hint="generate it again",
                    param="response_ids",
                )
        count, newest = await asyncio.to_thread(self._responses.state, experiment_id)
        basis = f"{count}.{newest}.{self._scoring.basis}"
        ids = [one.id for one in wanted]
        stored = await asyncio.to_thread(self._metrics.of, ids)
        if len(stored) == len(ids) and all(one.basis == basis for one in stored.values()):
            return stored
        self._scoring.listen()
        make = partial(self._turns.take, partial(self._compute, experiment_id, basis))
        # What was made while the embedder was away is stored as of no basis, and made again in a while.
        await self._computed.get(experiment_id, f"{count}.{newest}.{self._scoring.state}", make)
        return await asyncio.to_thread(self._metrics.of, ids)

    def _compute(self, experiment_id: int, basis: str) -> int:
        responses = [one for one in self._responses.of(experiment_id) if one.error_code is None]
        scored = self._scoring.scored(table_of(responses))
        rows = _rows(responses, scored.rows, basis if scored.whole else "")
        self._metrics.put(rows)
        return len(rows)


def _rows(responses: Sequence[LabResponse], scored: "pa.Table", basis: str) -> list[dict[str, Any]]:
    """The stored form of scored answers."""
    columns = (scored.column(name).to_pylist() for name in ("scores", "score_versions", "features"))
    made = []
    for response, *texts in zip(responses, *columns, strict=True):
        scores, versions, features = (json.loads(text or "{}") for text in texts)
        made.append(
            {
                "response_id": response.id,
                **{f"{name}_score": scores.get(name) for name in SCORES},
                "word_count": features.get("word_count"),
                "sentence_count": features.get("sentence_count"),
                "analysis_version": ", ".join(versions[name] for name in SCORES if name in versions),
                "reasons": json.dumps({f"{name}_score": why for name, why in features.get("absent", {}).items()}),
                "basis": basis,
            }
        )
    return made


def shown(metric: LabMetric) -> dict[str, Any]:
    """The scores of one answer, 0 to 100; `reasons` says why one is null."""
    columns = [f"{name}_score" for name in SCORES]
    return {
        "id": metric.id,
        "response_id": metric.response_id,
        **{name: getattr(metric, name) for name in columns},
        "word_count": metric.word_count,
        "sentence_count": metric.sentence_count,
        "calculated_at": moment(metric.calculated_at),
        "confidence_score": None,
        "confidence_reason": NO_CONFIDENCE,
        "analysis_version": metric.analysis_version,
        "reasons": {name: why for name, why in metric.reasons.items() if name in columns},
    }


def averages(metrics: Sequence[LabMetric]) -> dict[str, float | None]:
    """The mean of each score over the answers that have it."""
    found = {}
    for name in (f"{score}_score" for score in SCORES):
        values = [value for metric in metrics if (value := getattr(metric, name)) is not None]
        found[name] = sum(values) / len(values) if values else None
    return found


def compared(pairs: Sequence[tuple[LabResponse, LabMetric]]) -> dict[str, Any]:
    """By score: which answer has the most of it, which the least, and how far apart they are."""
    found: dict[str, Mapping[str, Any] | None] = {}
    for name in (f"{score}_score" for score in SCORES):
        values = {response.id: value for response, metric in pairs if (value := getattr(metric, name)) is not None}
        found[name] = None
        if values:
            best, worst = max(values, key=lambda one: values[one]), min(values, key=lambda one: values[one])
            found[name] = {
                "best_response_id": best,
                "worst_response_id": worst,
                "highest": values[best],
                "lowest": values[worst],
                "average": sum(values.values()) / len(values),
                "range": values[best] - values[worst],
            }
    return found


def router(desk: MetricDesk) -> APIRouter:
    """The routes."""
    routes = APIRouter(prefix="/api/metrics", tags=["Experiments"], route_class=StrictRoute)
    body = json_body(ResponseIds)

    @routes.post("/batch", summary="The scores of several answers", openapi_extra=body)
    async def several(request: Request) -> Response:
        wanted = parse(ResponseIds, await request.body())
        metrics = [metric for _, metric in await desk.of(wanted.response_ids, principal_of(request))]
        content = {"metrics": [shown(one) for one in metrics], "total": len(metrics)}
        return etags.answer(request, {**content, "averages": averages(metrics)})

    @routes.post("/compare", summary="The scores of several answers, side by side", openapi_extra=body)
    async def compare(request: Request) -> Response:
        wanted = parse(ResponseIds, await request.body())
        if len(wanted.response_ids) < 2:
            raise BadRequest("A comparison takes two answers or more", param="response_ids")
        pairs = await desk.of(wanted.response_ids, principal_of(request))
        named = ("model", "temperature", "top_p", "max_tokens", "experiment_id")
        listed = [
            {**{name: getattr(response, name) for name in named}, **shown(metric)} for response, metric in pairs
        ]
        content = {"metrics": listed, "comparison": compared(pairs), "significance": None}
        return etags.answer(request, {**content, "significance_reason": NO_TEST})

    @routes.get("/{responseId}", summary="The scores of one answer")
    async def one(response_id: OfResponse, request: Request) -> Response:
        if not 0 < response_id <= LARGEST_ID:
            raise unknown(response_id)
        [(_, metric)] = await desk.of([response_id], principal_of(request))
        return etags.answer(request, shown(metric))

    return routes
