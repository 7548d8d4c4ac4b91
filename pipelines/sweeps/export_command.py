"""`sweep report`, `export` and `compare`. Heavy imports are inside: `--help` is quick."""

import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cluster.errors import BadRequest, DiskFull, HeliostatError
from cluster.stores.draft import NO_ROOM
from pipelines.sweeps.stored_command import AsJson, SweepId
from pipelines.sweeps.targets import find_run, print_json

if TYPE_CHECKING:
    from cluster.stores.runs import Run
    from pipelines.analysis.exports.formats import Written
    from pipelines.analysis.report.results import Results

SHOWN = 12  # configurations in a terminal
TRIES = 3  # a run that is compacted while it is read is read again

Metric = Annotated[
    str | None, typer.Option(help="The score to report on.", show_default="overall, else completeness")
]


def add_to(app: typer.Typer) -> None:
    """Put the commands into `heliostat sweep`."""
    app.command()(report)
    app.command()(export)
    app.command()(compare)


def report(
    sweep_id: SweepId,
    html: Annotated[Path | None, typer.Option(help="Write a self-contained page.")] = None,
    pdf: Annotated[Path | None, typer.Option(help="Write a PDF.")] = None,
    metric: Metric = None,
) -> None:
    """Say what a sweep shows: on the terminal, as a page, or as a PDF."""
    run = find_run(sweep_id)
    results = _results(run, metric)
    for name, path in (("html", html), ("pdf", pdf)):
        if path is not None:
            _write(run, name, path, results=results)
    if html is None and pdf is None:
        _print(results)


def export(
    sweep_id: SweepId,
    file: Annotated[Path, typer.Argument(help="The file to write; its ending tells the format.")],
    format_: Annotated[
        str | None, typer.Option("--format", help="csv, json, jsonl, xlsx, parquet, pdf or html.")
    ] = None,
    fields: Annotated[str | None, typer.Option(help="Columns, with commas between them.")] = None,
    where: Annotated[
        list[str] | None, typer.Option(help="A condition: temperature>=0.5. Several must all hold.")
    ] = None,
    features: Annotated[bool, typer.Option("--features", help="With the raw features of the scores.")] = False,
    metric: Metric = None,
) -> None:
    """Write a sweep's cells, one row each, with FILE.sha256 beside them."""
    name = format_ or file.suffix.removeprefix(".")
    if not name:
        raise BadRequest(f"{file}: no ending tells the format", hint="--format csv", param="format")
    _write(find_run(sweep_id), name, file, fields=fields, where=where or [], features=features, metric=metric)


def compare(first: SweepId, second: SweepId, metric: Metric = None, json_: AsJson = False) -> None:
    """Compare two sweeps over the prompts of both, paired, in the configurations that both ran.

    Below stands what judges said of pairs of each one's own answers, where some did.
    """
    from cluster.stores.run_pairs import RunPairs
    from pipelines.analysis.frame import frame_of
    from pipelines.analysis.preferences import preferences
    from pipelines.analysis.report.preferred import preference_lines
    from pipelines.analysis.report.versus import versus
    from pipelines.sweeps.display import harmless

    runs = [find_run(first), find_run(second)]
    names = [f"{run.manifest().name} [{run.id}]" for run in runs]
    tables = [_table(run) for run in runs]
    found = versus(tables, metric=metric)
    judged = [[preferences(one) for one in RunPairs(run).judges()] for run in runs]
    if json_:
        told = {run.id: [asdict(one) for one in own] for run, own in zip(runs, judged, strict=True)}
        print_json({"first": runs[0].id, "second": runs[1].id, **found.as_json(), "preferences": told})
        return
    lines = found.lines(*names)
    for name, table, own in zip(names, tables, judged, strict=True):
        for one in own:
            lines += ["", f"{name}:", *preference_lines(one, frame_of(table), pairs=SHOWN)]
    sys.stdout.write(harmless("\n".join(lines) + "\n"))


def _write(
    run: "Run",
    name: str,
    path: Path,
    *,
    fields: str | None = None,
    where: list[str] | None = None,
    features: bool = False,
    metric: str | None = None,
    results: "Results | None" = None,
) -> None:
    from cluster.stores.run_snapshot import Snapshot
    from pipelines.analysis.exports.export import export_of
    from pipelines.analysis.exports.filters import filter_of
    from pipelines.analysis.exports.formats import format_of, write
    from pipelines.analysis.exports.source import SnapshotSource

    format_of(name)
    if not path.name:
        raise BadRequest(f"{path} is a folder", hint="name the file to write", param="file")
    filters = [filter_of(text) for text in where or []]
    columns = [field.strip() for field in fields.split(",")] if fields is not None else None
    for left in reversed(range(TRIES)):
        try:
            source = SnapshotSource(Snapshot.take(run))
            chosen = export_of(source, fields=columns, filters=filters, features=features)
            written = write(name, path, export=chosen, results=lambda: results or _results(run, metric))
        except FileNotFoundError as error:
            if left == 0 or not path.parent.is_dir():
                raise BadRequest(f"{path} cannot be written: {error.strerror or error}") from None
        except OSError as error:
            raise _unwritten(path, error) from None
        else:
            _tell(written)
            return


def _tell(written: "Written") -> None:
    """The checksum as `sha256sum --check` reads it, and a line for whoever looks."""
    path = written.path
    beside = path.with_name(f"{path.name}.sha256")
    try:
        beside.write_text(f"{written.sha256}  {path.name}\n", encoding="utf-8")
    except OSError as error:
        raise _unwritten(beside, error) from None
    rows = f"{written.rows:,} rows, " if written.rows is not None else ""
    sys.stdout.write(f"{path}: {rows}{written.size:,} bytes, sha256 {written.sha256}\n")


def _unwritten(path: Path, error: OSError) -> HeliostatError:
    if error.errno in NO_ROOM:
        return DiskFull(f"The disk has no room for {path}", hint="make room, or name a file on another disk")
    return BadRequest(f"{path} cannot be written: {error.strerror or error}")


def _print(results: "Results") -> None:
    from pipelines.analysis.report.configuration_charts import label_of, ranked
    from pipelines.analysis.report.html import sentence
    from pipelines.analysis.report.preferred import preference_lines
    from pipelines.analysis.report.words import interval, number
    from pipelines.sweeps.display import harmless

    found = results.findings
    lines = [f"{results.name}: {results.cells:,} cells, {results.errors:,} errors"]
    if found is None:
        lines.append(f"nothing to report: {results.reason}")
    else:
        lines += [sentence(found.best.verdict), *([found.best.reason] if found.best.reason else []), ""]
        lines.append(f"mean {results.metric}, 95 % interval over prompts:")
        best = ranked(results)
        lines += [
            f"  {number(one.mean):>6}  {interval(one.low, one.high):<16}  n={one.prompts}  "
            f"{label_of(results, one.config_id)}"
            for one in best[:SHOWN]
        ]
        lines += [f"  and {len(best) - SHOWN} more: --html FILE has all"] if len(best) > SHOWN else []
        lines += ["", *([found.insights.refusal] if found.insights.refusal else [])]
        lines += [f"- {one.text}" for one in found.insights.sentences]
    for judged in results.preferences:
        lines += ["", *preference_lines(judged, results.frame, pairs=SHOWN)]
    sys.stdout.write(harmless("\n".join(lines) + "\n"))


def _results(run: "Run", metric: str | None) -> "Results":
    import json

    from cluster.stores.run_pairs import RunPairs
    from pipelines.analysis.report.results import results_of

    return results_of(
        _table(run),
        name=run.manifest().name,
        spec=json.loads(run.spec()),
        metric=metric,
        verdicts=RunPairs(run).judges(),
    )


def _table(run: "Run") -> Any:
    from pipelines.analysis.report.results import COLUMNS

    return run.table(COLUMNS)
