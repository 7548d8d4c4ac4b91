"""What the routes of exports do: find the rows, check what is asked for, and have the file written."""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from starlette.responses import Response

from cluster.errors import BadRequest
from cluster.stores.run_snapshot import Snapshot
from deployments.gateway.lab.experiment_desk import shown
from deployments.gateway.lab.export_files import Files
from deployments.gateway.lab.material import MOST_ROWS, Material, Materials
from deployments.gateway.lab.wire import BatchExport, CustomExport
from deployments.gateway.principal import Principal

if TYPE_CHECKING:
    import pyarrow as pa

    from pipelines.analysis.exports.export import Export
    from pipelines.analysis.exports.filters import Filter
    from pipelines.analysis.exports.source import Source
    from pipelines.analysis.report.results import Results

TRIES = 3  # of a run that is compacted while it is read
WITH_RESULTS = frozenset({"pdf", "html", "xlsx"})  # which show statistics
OPERATORS = frozenset({"eq", "ne", "lt", "le", "gt", "ge", "in", "contains"})
UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")  # in a file's name

Has = Callable[[str], bool]
"""Whether the client has what a tag says."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Statistics:
    """What is exported of one kind of statistics. path: of `analytics.SHAPES`. rows: the list in its shape."""

    path: str
    rows: Callable[[Mapping[str, Any]], Sequence[Mapping[str, Any]]]


ANALYTICS = {
    "trends": Statistics(path="quality/trends", rows=lambda told: [_flat(point) for point in told["data_points"]]),
    "breakdown": Statistics(
        path="quality/breakdown",
        rows=lambda told: [*([told["overall"]] if told["overall"] else []), *told["metrics"]],
    ),
    "models": Statistics(path="models/comparison", rows=lambda told: told["models"]),
    "optimization": Statistics(
        path="parameters/optimization",
        rows=lambda told: [{"parameter": name, **one} for name, one in told["optimal_parameters"].items()],
    ),
    "correlation": Statistics(path="parameters/correlation", rows=lambda told: told["correlations"]),
    "insights": Statistics(
        path="parameters/insights",
        rows=lambda told: [{**one, "factors": ", ".join(one["factors"])} for one in told["insights"]],
    ),
}
"""The types of `/api/export/analytics/{type}`."""


class ExportDesk:
    """Exports what somebody may see."""

    def __init__(self, materials: Materials) -> None:
        self._materials = materials
        self._files = Files()

    async def batch(self, wanted: BatchExport, principal: Principal) -> Response:
        """A batch's rows, or its report. Raises ExperimentNotFound, BadRequest for a column that there is not."""
        found, material = await self._materials.batch(wanted.batch_id, principal)
        filters, results = filters_of(wanted.filters), None
        if wanted.format in WITH_RESULTS:
            results = await self._materials.results(material, found.name, json.loads(found.spec))
        run = self._materials.run(found)

        def write(path: Path) -> int | None:
            from pipelines.analysis.exports.source import SnapshotSource

            for last in range(TRIES):
                source = SnapshotSource(Snapshot.take(run))
                try:
                    return _write(wanted.format, path, source, wanted.fields, filters, results)
                except FileNotFoundError:  # it was compacted meanwhile
                    if last == TRIES - 1:
                        raise
            raise AssertionError("unreachable")

        return await self._files.answer(write, name=f"batch-{found.id}-{_safe(found.name)}", kind=wanted.format)

    async def experiment(self, experiment_id: int, principal: Principal, kind: str, has: Has) -> Response:
        """A single experiment's rows, and itself in JSON. Raises ExperimentNotFound."""
        found, material = await self._materials.experiment(experiment_id, principal)
        rows = await self._materials.rows(material)

        def write(path: Path) -> int | None:
            from pipelines.analysis.exports.json import write_json
            from pipelines.analysis.exports.source import TableSource

            if kind == "csv":
                return _write(kind, path, TableSource(rows))
            with path.open("wb") as target:
                target.write(b'{"experiment": ' + json.dumps(shown(found)).encode() + b', "rows": ')
                count = write_json(_export(TableSource(rows)), target)
                target.write(b"}\n")
            return count

        name = f"experiment-{found.id}-{_safe(found.name)}"
        return await self._files.answer(write, name=name, kind=kind, has=has)

    async def custom(self, wanted: CustomExport, principal: Principal) -> Response:
        """The rows of several, each with whose it is. Raises ExperimentNotFound, BadRequest."""
        filters, results = filters_of(wanted.filters), None
        materials = [(await self._materials.batch(number, principal))[1] for number in wanted.batch_ids]
        materials += [(await self._materials.experiment(number, principal))[1] for number in wanted.experiment_ids]
        if sum(one.parts[0].count for one in materials) > MOST_ROWS:
            hint = "POST /api/export/batch exports one of any size"
            param = "batch_ids" if wanted.batch_ids else "experiment_ids"
            raise BadRequest(f"Together they have over {MOST_ROWS:,} rows", hint=hint, param=param)
        together = Material(parts=tuple(one.parts[0] for one in materials))
        if wanted.format in WITH_RESULTS:
            results = await self._materials.results(together, "Custom export", None)
        tables = [(one, await self._materials.rows(one)) for one in materials]

        def write(path: Path) -> int | None:
            from pipelines.analysis.exports.source import TableSource

            source = TableSource(_together(tables))
            return _write(wanted.format, path, source, wanted.fields, filters, results)

        return await self._files.answer(write, name="export", kind=wanted.format)

    async def statistics(self, kind: str, told: Mapping[str, Any], form: str, has: Has) -> Response:
        """Statistics as they are told, as JSON, or their rows as CSV."""
        rows = ANALYTICS[kind].rows(told)

        def write(path: Path) -> int:
            from pipelines.analysis.exports.csv import write_table

            if form == "json":
                path.write_text(json.dumps(told, ensure_ascii=False, allow_nan=False), errors="replace")
                return len(rows)
            columns = list(dict.fromkeys(name for row in rows for name in row))
            with path.open("wb") as target:
                return write_table(columns, [[_cell(row.get(name)) for name in columns] for row in rows], target)

        warned = ", ".join(dict.fromkeys(one["code"] for one in told["warnings"]))
        headers = {"x-warnings": warned} if warned else {}
        return await self._files.answer(write, name=f"analytics-{kind}", kind=form, headers=headers, has=has)


def filters_of(given: Sequence[Mapping[str, Any]] | Mapping[str, Any] | None) -> "tuple[Filter, ...]":
    """Conditions as they were sent, in either form. Raises BadRequest."""
    from pipelines.analysis.exports import filters
    from pipelines.analysis.exports.filters import Filter

    if given is None:
        return ()
    if not isinstance(given, Mapping):
        return filters.filters_of(given)
    found = []
    for field, value in given.items():
        at = f"filters.{field}"
        if isinstance(value, Mapping):
            unknown = next((op for op in value if op not in OPERATORS), None)
            if unknown is not None or not value:
                hint = f"one of {', '.join(sorted(OPERATORS))}"
                raise BadRequest(f"{at}: no operator {unknown!r}", hint=hint, param=at)
            found += [Filter(field=field, op=op, value=one, param=at) for op, one in value.items()]
        else:
            found.append(Filter(field=field, op="in" if isinstance(value, list) else "eq", value=value, param=at))
    return tuple(found)


def _write(
    form: str,
    path: Path,
    source: "Source",
    fields: Sequence[str] | None = None,
    filters: "Sequence[Filter]" = (),
    results: "Results | None" = None,
) -> int | None:
    from pipelines.analysis.exports.formats import write

    def known() -> "Results":
        assert results is not None
        return results

    return write(form, path, export=_export(source, fields, filters), results=known).rows


def _export(source: "Source", fields: Sequence[str] | None = None, filters: "Sequence[Filter]" = ()) -> "Export":
    from pipelines.analysis.exports.export import export_of

    return export_of(source, fields=fields, filters=filters)


def _together(tables: "Sequence[tuple[Material, pa.Table]]") -> "pa.Table":
    """Rows of several experiments, with the columns that say whose they are in front."""
    import pyarrow as pa

    found = []
    for material, rows in tables:
        part = material.parts[0]
        rows = rows.add_column(0, "experiment_id", pa.array([part.id] * rows.num_rows, pa.int64()))
        found.append(rows.add_column(0, "experiment_type", pa.array([part.kind] * rows.num_rows, pa.string())))
    return pa.concat_tables(found, promote_options="default")


def _flat(point: Mapping[str, Any]) -> dict[str, Any]:
    return {**{name: value for name, value in point.items() if name != "metrics"}, **point["metrics"]}


def _cell(value: Any) -> Any:
    return json.dumps(value) if isinstance(value, list | dict) else value


def _safe(name: str) -> str:
    return UNSAFE.sub("-", name).strip("-.")[:60] or "unnamed"
