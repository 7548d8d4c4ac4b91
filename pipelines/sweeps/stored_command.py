"""The commands of `heliostat sweep` that look at stored runs, or ask a running one to stop."""

import sys
import time
from collections import Counter
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cluster.console.output import output
from cluster.errors import BadRequest, Conflict
from pipelines.sweeps.targets import find_run, print_json

if TYPE_CHECKING:
    from cluster.stores.runs import Run

CODES, SAID = 4, 160  # of errors that are named, and characters of what each says
SEE_S = 0.2  # between two looks at whether a run has ended
PATIENCE_S = 330.0  # how long a pause waits for cells in flight: as long as one may take, and a little

SweepId = Annotated[str, typer.Argument(metavar="ID", help="A sweep's id, or the beginning of it.")]
AsJson = Annotated[bool, typer.Option("--json", help="As JSON.")]


def add_to(app: typer.Typer) -> None:
    """Put the commands into `heliostat sweep`."""
    app.command()(pause)
    app.command()(cancel)
    app.command()(show)
    app.command("ls")(list_)
    app.command("list", hidden=True)(list_)
    app.command("rm")(remove)


def pause(sweep_id: SweepId) -> None:
    """End a running sweep when its cells in flight have ended; `resume` goes on."""
    from cluster.stores.run_state import PAUSED

    _ask(sweep_id, PAUSED)


def cancel(sweep_id: SweepId) -> None:
    """End a running sweep at once: cells in flight are dropped. What is stored stays."""
    from cluster.stores.run_state import CANCELLED

    _ask(sweep_id, CANCELLED)


def show(sweep_id: SweepId, json_: AsJson = False) -> None:
    """Print a sweep's results by configuration."""
    show_run(find_run(sweep_id), as_json=json_)


def list_(json_: AsJson = False) -> None:
    """List the stored sweeps, the newest first."""
    from cluster.config import home
    from cluster.stores.runs import runs
    from pipelines.sweeps.display import show_runs

    rows = [row_of(found) for found in runs(home())]
    if json_:
        print_json(rows)
    elif rows:
        show_runs(rows, output())
    else:
        output().print("no sweeps are stored here", highlight=False)


def remove(sweep_id: SweepId, yes: Annotated[bool, typer.Option("--yes", "-y", help="Don't ask.")] = False) -> None:
    """Delete a sweep and all of its rows."""
    found = find_run(sweep_id)
    row = row_of(found)
    if not yes:
        if not sys.stdin.isatty():
            raise BadRequest("it deletes rows for good, and nobody is there to ask", hint="--yes")
        rows = f"{row['done']} rows" if row["done"] is not None else "its rows"
        typer.confirm(f"Delete {row['name']!r} [{found.id}] with {rows}?", abort=True)
    found.remove()
    sys.stdout.write(f"{found.id} is gone\n")


def show_run(found: "Run", *, as_json: bool) -> None:
    """Print a stored run: one line about it, and a table of its configurations."""
    from cluster.stores.run_pairs import RunPairs
    from pipelines.analysis.frame import COLUMNS as FRAME_COLUMNS
    from pipelines.analysis.frame import frame_of
    from pipelines.analysis.preferences import preferences
    from pipelines.analysis.report.preferred import preference_lines
    from pipelines.analysis.summaries import COLUMNS, by_configuration
    from pipelines.sweeps.display import harmless, location, show_table

    found.manifest()  # first of all: without one nothing tells what its rows are of
    summaries = by_configuration(found.table(COLUMNS))
    row = row_of(found)
    judged = [preferences(one) for one in RunPairs(found).judges()]
    if as_json:
        rows = [asdict(summary) for summary in summaries]
        told = {"configurations": rows, "preferences": [asdict(one) for one in judged]}
        print_json({**row, "parquet": location(found), **told})
        return
    head = f"{row['name']} [{found.id}]: {row['done']} of {row['total']} cells, {row['errors']} errors"
    head += f"; {row['reason']}" if row["reason"] else ""
    out = output()
    out.print(harmless(head), highlight=False, markup=False)
    if summaries:
        show_table(summaries, out)
    for line in error_lines(found) if row["errors"] else ():
        out.print(harmless(line), highlight=False, markup=False, soft_wrap=True)
    if judged:
        frame = frame_of(found.table(FRAME_COLUMNS))
        for line in (line for one in judged for line in preference_lines(one, frame)):
            out.print(line, highlight=False, markup=False, soft_wrap=True)


def error_lines(found: "Run") -> list[str]:
    """The failed cells by code, the most frequent first, each with what one of them says."""
    rows = found.table(["error_code", "error_message"]).to_pylist()
    codes = Counter(row["error_code"] for row in rows if row["error_code"] is not None)
    said = {row["error_code"]: row["error_message"] for row in rows}
    return [f"{count} × {code}: {(said[code] or '')[:SAID]}" for code, count in codes.most_common(CODES)]


def row_of(found: "Run") -> dict[str, Any]:
    """A stored run in a line of a table. A damaged one says so, and has no counts."""
    from cluster.errors import ClusterError, DamagedRun

    try:
        manifest = found.manifest()
    except DamagedRun as error:
        unknown = dict.fromkeys(("total", "done", "errors", "created"))
        return {"id": found.id, "name": "", "models": [], "status": "damaged", "reason": error.message, **unknown}
    standing = found.standing()
    try:
        stored: dict[str, bool] | None = found.stored()
    except ClusterError:
        stored = None
    done = len(stored) if stored is not None else None
    whole = done == manifest.total and standing.status == "interrupted"  # of before states were noted
    return {
        "id": found.id,
        "name": manifest.name,
        "models": list(manifest.models),
        "status": "damaged" if stored is None else "completed" if whole else standing.status,
        "reason": standing.reason,
        "total": manifest.total,
        "done": done,
        "errors": sum(not well for well in stored.values()) if stored is not None else None,
        "created": datetime.fromtimestamp(manifest.created, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
    }


def _ask(sweep_id: str, status: str) -> None:
    """Wish that a run stop, and wait until it has."""
    found = find_run(sweep_id)
    if not found.running:
        standing = row_of(found)["status"]
        raise Conflict(f"The sweep {found.id} is not running: it is {standing}", hint="heliostat sweep ls")
    found.state.ask(status)
    deadline = time.monotonic() + PATIENCE_S
    while found.running:
        if time.monotonic() > deadline:
            sys.stdout.write(f"{found.id} was asked to stop; its cells in flight take long\n")
            return
        time.sleep(SEE_S)
    found_ = row_of(found)
    sys.stdout.write(f"{found.id} is {found_['status']}: {found_['done']} of {found_['total']} cells are stored\n")
