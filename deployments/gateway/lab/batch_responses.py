"""The answers of a batch, a page at a time, as `GET /api/experiments/batch/{id}/responses` lists them.

Rows are in Parquet. Which cells a page shows is decided by their light columns and kept; of the texts only the
page's own are read.
"""

import asyncio
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, Query, Request
from pydantic_core import from_json
from starlette.responses import Response

from cluster.errors import BadRequest
from cluster.stores.experiments import RUNNING, Experiment
from deployments.gateway.lab import etags
from deployments.gateway.lab.batch_desk import Desk as Batches
from deployments.gateway.lab.cell_order import SCORE, SORTS, CellsWanted, ordered
from deployments.gateway.lab.export_desk import TRIES, filters_of
from deployments.gateway.lab.kept import Kept
from deployments.gateway.lab.material import Materials
from deployments.gateway.lab.moments import moment
from deployments.gateway.lab.paging import ExperimentId, Flag, Limit, Offset, sorted_by
from deployments.gateway.lab.responses import Model, Temperature, TopP
from deployments.gateway.lab.strict_route import StrictRoute
from deployments.gateway.lab.threads import Turns
from deployments.gateway.principal import Principal, principal_of
from pipelines.sweeps.spec import NO_NUL

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from cluster.stores.run_cells import RunCells
    from pipelines.analysis.exports.filters import Filter

KEPT_RUNS = 4  # some 25 MB each, of 100,000 cells, most of it shared with `Materials.light`
KEPT_ORDERS = 32  # less than half of one
TEXTS = ("prompt", "text", "error_message")
"""What a page reads of the parts; all else of an answer is in its light row."""

Given = Annotated[
    str | None,
    Query(max_length=8000, description="Conditions as `POST /api/export/batch` takes them, as JSON."),
]
MOST_LETTERS = len(f"-{SCORE}") + 64  # of a sort: a score's name has as many at most
Sort = Annotated[
    str, Query(max_length=MOST_LETTERS, description="A column or score_NAME; `-` before it for the greatest first.")
]
PromptId = Annotated[str | None, Query(max_length=256, pattern=NO_NUL)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """Some answers. tag: an ETag. content: None where the client has it."""

    tag: str
    content: dict[str, Any] | None


class BatchResponseDesk:
    """What the route does."""

    def __init__(self, batches: Batches, materials: Materials) -> None:
        self._batches = batches
        self._materials = materials
        self._runs = Kept(KEPT_RUNS)
        self._orders = Kept(KEPT_ORDERS)
        self._turns = Turns()

    async def page(
        self,
        batch_id: int,
        principal: Principal,
        *,
        limit: int,
        offset: int,
        wanted: CellsWanted,
        has: Callable[[str], bool],
    ) -> Page:
        """Some of a batch's answers, and how many there are. has: whether the client has what that tag says.

        Raises ExperimentNotFound, BadRequest, DamagedRun.
        """
        from cluster.stores.run_cells import state_of

        found = await self._batches.find(batch_id, principal)

        def tag_of(state: str) -> str:
            return etags.tag_of_rows(state, "responses", found.id, limit, offset, wanted.key)

        for last in range(TRIES):
            files = await asyncio.to_thread(self._materials.run(found).files)
            if has(tag := tag_of(state_of(files))):
                return Page(tag=tag, content=None)
            try:
                cells = await self._cells(found, files, growing=found.status == RUNNING and not last)
                if has(tag := tag_of(cells.state)):  # of a moment ago
                    return Page(tag=tag, content=None)
                order = None if wanted.every else await self._order(found, cells, wanted)
                total = len(cells) if order is None else len(order)
                places = (
                    range(offset, min(offset + limit, total)) if order is None else order[offset:][:limit].tolist()
                )
                content = await asyncio.to_thread(_told, found.id, cells, places)
            except FileNotFoundError:  # parts were gathered meanwhile
                if last == TRIES - 1:
                    raise
                continue
            head = {"batch_id": found.id, "total": total, "limit": limit, "offset": offset}
            return Page(tag=tag, content={**head, **content})
        raise AssertionError("unreachable")

    async def _cells(self, found: Experiment, files: Sequence[Path], *, growing: bool) -> "RunCells":
        from cluster.stores.run_cells import RunCells, state_of

        make = partial(self._turns.take, partial(RunCells.of, files, self._materials.light))
        return await self._runs.get(found.run_id, state_of(files), make, growing=growing)

    async def _order(self, found: Experiment, cells: "RunCells", wanted: CellsWanted) -> "NDArray[np.int32]":
        make = partial(self._turns.take, partial(ordered, cells, wanted))
        return await self._orders.get((found.run_id, wanted.key), cells.state, make)


def _told(batch_id: int, cells: "RunCells", places: Sequence[int]) -> dict[str, Any]:
    """The answers at some places, and their prompts, each once."""
    import pyarrow as pa

    from cluster.stores.run_light import SCORES

    texts = cells.take(places, TEXTS)
    rows = cells.light.take(pa.array(places, pa.int64()))
    ids = rows.column("prompt_id").to_pylist()
    first = {prompt: place for place, prompt in reversed(list(enumerate(ids)))}
    prompts = texts.column("prompt").take(list(first.values())).to_pylist() if first else []
    listed = [{**row, **text} for row, text in zip(rows.to_pylist(), texts.to_pylist(), strict=True)]
    names = [name for name in rows.column_names if name.startswith(SCORES)]
    for row in listed:
        row["scores"] = {name.removeprefix(SCORES): row[name] for name in names if row[name] is not None}
    return {
        "responses": [response(batch_id, row) for row in listed],
        "prompts": dict(zip(first, prompts, strict=True)),
    }


def response(batch_id: int, row: Mapping[str, Any]) -> dict[str, Any]:
    """A cell by the names of a single experiment's answer, and by those of the seed's batch results."""
    parameters, counts = _object(row["parameters"]), (row["prompt_tokens"], row["completion_tokens"])
    total = None if None in counts else sum(counts)
    return {
        "id": row["cell_id"],
        "experiment_id": None,
        "batch_experiment_id": batch_id,
        "ordinal": row["ordinal"],
        "content": row["text"] or "",
        "temperature": row["temperature"],
        "top_p": row["top_p"],
        "frequency_penalty": parameters.pop("frequency_penalty", 0.0),
        "presence_penalty": parameters.pop("presence_penalty", 0.0),
        "max_tokens": row["max_tokens"],
        "parameters": parameters,
        "retrieval": None if row["retrieval"] is None else _object(row["retrieval"]),
        "model": row["model"],
        "prompt_id": row["prompt_id"],
        "prompt_tokens": row["prompt_tokens"],
        "completion_tokens": row["completion_tokens"],
        "total_tokens": total,
        "response_time": row["latency_ms"],
        "cost": row["cost"],
        "repeat": row["repeat"],
        "seed": row["seed"],
        "greedy": bool(row["greedy"]),
        "finish_reason": row["finish_reason"],
        "quality_scores": row["scores"],
        "usage_stats": {
            "prompt_tokens": row["prompt_tokens"],
            "completion_tokens": row["completion_tokens"],
            "total_tokens": total,
            "cost": row["cost"],
            "ttft_ms": row["ttft_ms"],
        },
        "error_code": row["error_code"],
        "error_message": row["error_message"],
        "created_at": moment(row["started"]),
    }


def conditions(
    given: str | None,
    *,
    failed: Flag,
    **equal: str | float | None,
) -> "tuple[Filter, ...]":
    """The filters of a query: JSON, and columns that equal a value where there is one. Raises BadRequest."""
    from pipelines.analysis.exports.filters import Filter

    named = [
        Filter(field=name, op="eq", value=value, param=name) for name, value in equal.items() if value is not None
    ]
    if failed is not None:
        named.append(Filter(field="error_code", op="ne" if failed == "true" else "eq", value=None, param="failed"))
    if given is None:
        return tuple(named)
    try:
        data = from_json(given, allow_inf_nan=False)
    except ValueError as error:
        raise BadRequest(f"filters is not valid JSON: {error}", param="filters") from None
    if not isinstance(data, list | dict):
        raise BadRequest("filters is an object, or a list of objects", param="filters")
    return (*named, *filters_of(data))


def router(desk: BatchResponseDesk) -> APIRouter:
    """The route."""
    routes = APIRouter(prefix="/api/experiments/batch", tags=["Experiments"], route_class=StrictRoute)

    @routes.get("/{id}/responses", summary="A batch's answers, in the plan's order")
    async def page(
        experiment_id: ExperimentId,
        request: Request,
        limit: Limit = 50,
        offset: Offset = 0,
        model: Model = None,
        prompt_id: PromptId = None,
        temperature: Temperature = None,
        top_p: TopP = None,
        failed: Flag = None,
        filters: Given = None,
        sort: Sort = "ordinal",
    ) -> Response:
        chosen = conditions(
            filters, failed=failed, model=model, prompt_id=prompt_id, temperature=temperature, top_p=top_p
        )
        if not sort.removeprefix("-").startswith(SCORE):
            sorted_by(sort, [*SORTS, f"{SCORE}NAME"])
        wanted = CellsWanted(filters=chosen, sort=sort)
        has = partial(etags.has, request)
        found = await desk.page(
            experiment_id, principal_of(request), limit=limit, offset=offset, wanted=wanted, has=has
        )
        if found.content is None:
            return etags.unchanged(found.tag)
        return await etags.told(request, lambda: found.content, tag=found.tag)

    return routes


def _object(text: str | None) -> dict[str, Any]:
    """A JSON object of a row; what is no number in JSON is null."""
    found = {} if text is None else json.loads(text, parse_constant=lambda _: None)
    return found if isinstance(found, dict) else {}
