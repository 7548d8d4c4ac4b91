"""`sweep run`, `show`, `list` and `retry`. Heavy imports are inside: `--help` is quick."""

import os
import sys
from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cluster.errors import BadRequest

if TYPE_CHECKING:
    from rich.console import Console

    from cluster.settings.tree import Settings
    from cluster.stores.runs import Run
    from pipelines.sweeps.plan import Plan
    from pipelines.sweeps.run import Outcome, Target
    from pipelines.sweeps.tally import Progress

WIDE = 160
EXIT_CELLS_FAILED = 1
EXIT_INTERRUPTED = 130  # what a shell says of a program that Ctrl-C ended

app = typer.Typer(help="Run and show parameter sweeps.", no_args_is_help=True, add_completion=False)

SweepId = Annotated[str, typer.Argument(metavar="ID", help="A sweep's id, or the beginning of it.")]
ConfigFile = Annotated[
    Path | None, typer.Option(help="Config whose settings are taken.", show_default="the running cluster's")
]
AsJson = Annotated[bool, typer.Option("--json", help="As JSON.")]


@app.command()
def run(
    spec: Annotated[Path | None, typer.Argument(help="YAML or JSON; configs/sweeps/demo.yaml is one.")] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Don't ask before it starts.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the plan and stop.")] = False,
    fresh: Annotated[bool, typer.Option("--fresh", help="Move a stored run of this spec aside first.")] = False,
    config: ConfigFile = None,
    batch: Annotated[int | None, typer.Option(help="Run this batch experiment of the database.")] = None,
) -> None:
    """Run a sweep on the running cluster; one that was interrupted goes on where it was."""
    if (spec is None) == (batch is None):
        raise BadRequest("name a spec file or --batch", hint="sweep run configs/sweeps/demo.yaml")
    if batch is not None:
        from pipelines.sweeps.batch import run_batch

        settings, target = _target(config)
        run_batch(batch, settings, target)
        return
    from pipelines.sweeps.plan import Plan
    from pipelines.sweeps.spec import load_spec

    assert spec is not None
    wanted = load_spec(spec)
    plan = Plan(spec=wanted)
    if dry_run:
        plan.check(_max_cells(config))
        _print_plan(plan)
        return
    settings, target = _target(config)
    from pipelines.sweeps.run import run_sweep

    plan.check(settings.sweeps.max_cells, target.served)
    _print_plan(plan)
    if not yes and sys.stdin.isatty():
        typer.confirm("Run it?", default=True, abort=True)
    _connect(target)
    _watched(lambda watch: run_sweep(wanted, target, watch, fresh=fresh))


@app.command()
def retry(sweep_id: SweepId, config: ConfigFile = None) -> None:
    """Run the failed cells of a sweep again."""
    found = _find(sweep_id)
    found.manifest()
    _, target = _target(config)
    _connect(target)
    from pipelines.sweeps.run import retry_sweep

    _watched(lambda watch: retry_sweep(found, target, watch))


@app.command()
def show(sweep_id: SweepId, json_: AsJson = False) -> None:
    """Print a sweep's results by configuration."""
    _show(_find(sweep_id), as_json=json_)


@app.command("list")
def list_(json_: AsJson = False) -> None:
    """List the stored sweeps, the newest first."""
    from cluster.config import home
    from cluster.stores.runs import runs
    from pipelines.sweeps.display import show_runs

    rows = [_row(found) for found in runs(home())]
    if json_:
        _print_json(rows)
    elif rows:
        show_runs(rows, _console())
    else:
        _console().print("no sweeps are stored here", highlight=False)


def _watched(work: "Callable[[Callable[[Progress], None]], Outcome]") -> None:
    from pipelines.sweeps.display import ProgressDisplay

    try:
        with ProgressDisplay() as display:
            outcome = work(display.show)
    except KeyboardInterrupt:
        sys.stderr.write("interrupted; the same command goes on from here\n")
        sys.stdout.flush()
        sys.stderr.flush()
        # An orderly end would have Ray Data's thread print tracebacks about Ray going away under it. The
        # cluster ends the workers of a driver that is gone, as it does after a kill.
        os._exit(EXIT_INTERRUPTED)
    _show(outcome.run, as_json=False)
    _end(outcome)


def _end(outcome: "Outcome") -> None:
    from pipelines.sweeps.display import location

    done = f"{outcome.ran} cells ran in {outcome.seconds:.0f} s" if outcome.ran else "nothing was left to run"
    sys.stdout.write(f"{done}; {outcome.total} stored, {outcome.failed} failed\n{location(outcome.run)}\n")
    if outcome.failed:
        sys.stdout.write(f"the failed cells again: heliostat sweep retry {outcome.run.id}\n")
        sys.exit(EXIT_CELLS_FAILED)


def _target(config: Path | None) -> "tuple[Settings, Target]":
    """The settings in force and the cluster to run on. Raises NotRunning without one."""
    from cluster.config import home, load_config
    from cluster.runtime.state import read_state
    from pipelines.sweeps.run import Target

    state = read_state(home())
    loaded = load_config(config or state.config)
    target = Target(
        home=Path(state.home),
        application=state.application,
        served=[model.id for model in loaded.settings.chat_models],
        settings=loaded.settings.sweeps,
    )
    return loaded.settings, target


def _connect(target: "Target") -> None:
    from pipelines.driver import become_driver

    become_driver(target.home)


def _console() -> "Console":
    """Standard output; where it is no terminal, wide enough that no column is cut."""
    from rich.console import Console

    return Console(width=None if sys.stdout.isatty() else WIDE)


def _max_cells(config: Path | None) -> int:
    """The limit of the config, or of the running cluster, or the default: a dry run needs neither."""
    from cluster.config import home, load_config
    from cluster.errors import NotRunning
    from cluster.runtime.state import read_state
    from cluster.settings.pipelines import SweepSettings

    try:
        return load_config(config or read_state(home()).config).settings.sweeps.max_cells
    except NotRunning:
        return SweepSettings().max_cells


def _find(sweep_id: str) -> "Run":
    from cluster.config import home
    from cluster.stores.runs import find

    return find(home(), sweep_id)


def _print_plan(plan: "Plan") -> None:
    from pipelines.sweeps.display import plan_lines

    sys.stdout.write("\n".join(plan_lines(plan)) + "\n")
    sys.stdout.flush()


def _show(found: "Run", *, as_json: bool) -> None:
    from pipelines.analysis.summaries import COLUMNS, by_configuration
    from pipelines.sweeps.display import location, show_table

    summaries = by_configuration(found.table(COLUMNS))
    if as_json:
        rows = [asdict(summary) for summary in summaries]
        _print_json({**_row(found), "parquet": location(found), "configurations": rows})
        return
    row = _row(found)
    head = f"{row['name']} [{found.id}]: {row['done']} of {row['total']} cells, {row['errors']} errors"
    console = _console()
    console.print(head, highlight=False, markup=False)
    if summaries:
        show_table(summaries, console)


def _row(found: "Run") -> dict[str, Any]:
    manifest = found.manifest()
    stored = found.stored()
    return {
        "id": found.id,
        "name": manifest.name,
        "models": list(manifest.models),
        "total": manifest.total,
        "done": len(stored),
        "errors": sum(not well for well in stored.values()),
        "created": datetime.fromtimestamp(manifest.created, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
    }


def _print_json(value: object) -> None:
    import json

    sys.stdout.write(json.dumps(value, indent=1, ensure_ascii=False) + "\n")
