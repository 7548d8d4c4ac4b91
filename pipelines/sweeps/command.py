"""`heliostat sweep`: what runs cells. What looks at stored runs is in `stored_command`.

Heavy imports are inside: `--help` is quick.
"""

import os
import sys
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cluster.errors import BadRequest
from pipelines.sweeps import export_command, promote_command, rescore_command, stored_command, watch_command
from pipelines.sweeps.stored_command import AsJson, SweepId, show_run
from pipelines.sweeps.targets import (
    connect,
    document_settings,
    find_run,
    max_cells,
    print_json,
    recent_pace,
    target_of,
)

if TYPE_CHECKING:
    from pipelines.sweeps.display import ProgressDisplay
    from pipelines.sweeps.plan import Plan
    from pipelines.sweeps.run import Outcome

EXIT_CELLS_FAILED = 1
EXIT_STOPPED = 3  # it ended early and in order: paused, cancelled, or at its budget or deadline
EXIT_INTERRUPTED = 130  # what a shell says of a program that Ctrl-C ended

app = typer.Typer(help="Plan, run and show parameter sweeps.", no_args_is_help=True, add_completion=False)

SpecFile = Annotated[Path, typer.Argument(metavar="SPEC", help="YAML or JSON; configs/sweeps/demo.yaml is one.")]
ConfigFile = Annotated[
    Path | None, typer.Option(help="Config whose settings are taken.", show_default="the running cluster's")
]


@app.command()
def plan(spec: SpecFile, json_: AsJson = False, config: ConfigFile = None) -> None:
    """Show what a sweep would run and take. Needs no cluster."""
    from pipelines.sweeps.plan import Plan
    from pipelines.sweeps.spec import load_spec

    planned = Plan(spec=load_spec(spec))
    _check(planned, config)
    _show_plan(planned, as_json=json_)


@app.command()
def run(
    spec: Annotated[
        Path | None, typer.Argument(metavar="SPEC", help="YAML or JSON; configs/sweeps/demo.yaml is one.")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Don't ask before it starts.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the plan and stop.")] = False,
    fresh: Annotated[bool, typer.Option("--fresh", help="Move a stored run of this spec aside first.")] = False,
    config: ConfigFile = None,
    batch: Annotated[int | None, typer.Option(help="Run this batch experiment of the database.")] = None,
    address: Annotated[
        str | None, typer.Option(metavar="URL", help="Run it as a Ray job on the cluster of this dashboard.")
    ] = None,
) -> None:
    """Run a sweep on the running cluster; one that was interrupted goes on where it was."""
    if (spec is None) == (batch is None):
        raise BadRequest("name a spec file or --batch", hint="sweep run configs/sweeps/demo.yaml")
    if batch is not None:
        if address is not None:
            raise BadRequest("--address goes with a spec: a batch experiment is of its cluster's own database")
        from pipelines.sweeps.batch import run_batch

        settings, target = target_of(config)
        run_batch(batch, settings, target)
        return
    from pipelines.sweeps.plan import Plan
    from pipelines.sweeps.spec import load_spec

    assert spec is not None
    wanted = load_spec(spec)
    planned = Plan(spec=wanted)
    if dry_run:
        _check(planned, config)
        _show_plan(planned)
        return
    if address is not None:
        _run_there(planned, address, max_cells(config), yes=yes, fresh=fresh)
        return
    settings, target = target_of(config)
    from pipelines.sweeps.run import run_sweep

    planned.check(settings.sweeps.max_cells, target.served)
    _show_plan(planned)
    _agree(yes)
    connect(target)
    _watched(lambda display: run_sweep(wanted, target, display.show, fresh=fresh, say=display.say))


@app.command()
def resume(sweep_id: SweepId, config: ConfigFile = None) -> None:
    """Go on with a sweep that was paused, stopped, cancelled or interrupted."""
    _go_on(sweep_id, config, retry=False)


@app.command("retry-failed")
def retry_failed(sweep_id: SweepId, config: ConfigFile = None) -> None:
    """Run the failed cells of a sweep again."""
    _go_on(sweep_id, config, retry=True)


app.command("retry", hidden=True)(retry_failed)
stored_command.add_to(app)
rescore_command.add_to(app)
watch_command.add_to(app)
export_command.add_to(app)
promote_command.add_to(app)


def _go_on(sweep_id: str, config: Path | None, *, retry: bool) -> None:
    from pipelines.sweeps.run import run_sweep, stored_spec

    found = find_run(sweep_id)
    wanted = stored_spec(found)
    _, target = target_of(config)
    own = replace(target, owner=found.manifest().owner)
    connect(own)
    _watched(lambda display: run_sweep(wanted, own, display.show, retry=retry, say=display.say))


def _run_there(planned: "Plan", address: str, limit: int, *, yes: bool, fresh: bool) -> None:
    from pipelines.sweeps.remote import run_there

    planned.check(limit)
    _show_plan(planned)
    _agree(yes)
    sys.exit(run_there(planned.spec, address, fresh=fresh))


def _check(planned: "Plan", config: Path | None) -> None:
    from pipelines.sweeps.cuts import check_cuts, cuts_of

    planned.check(max_cells(config))
    check_cuts(cuts_of(planned.space), document_settings(config))


def _agree(yes: bool) -> None:
    if not yes and sys.stdin.isatty():
        typer.confirm("Run it?", default=True, abort=True)


def _watched(work: "Callable[[ProgressDisplay], Outcome]") -> None:
    from pipelines.sweeps.display import ProgressDisplay

    try:
        with ProgressDisplay() as display:
            outcome = work(display)
    except KeyboardInterrupt:
        sys.stderr.write("interrupted; the same command goes on from here\n")
        sys.stdout.flush()
        sys.stderr.flush()
        # An orderly end would have Ray Data's thread print tracebacks about Ray going away under it. The
        # cluster ends the workers of a driver that is gone, as it does after a kill.
        os._exit(EXIT_INTERRUPTED)
    show_run(outcome.run, as_json=False)
    _end(outcome)


def _end(outcome: "Outcome") -> None:
    from pipelines.sweeps.display import location

    say = sys.stdout.write
    for name in outcome.set_aside:
        say(f"damaged and set aside: {outcome.run.damaged / name}; its cells ran again\n")
    if outcome.taken_over:
        say(f"{outcome.taken_over} cells were taken over from stored runs\n")
    done = f"{outcome.ran} cells ran in {outcome.seconds:.0f} s" if outcome.ran else "nothing was left to run"
    if outcome.ended is not None:
        why = f": {outcome.ended.reason}" if outcome.ended.reason else ""
        say(f"{outcome.ended.status}{why}; {outcome.last.done} of {outcome.total} cells are stored\n")
        say(f"{location(outcome.run)}\nto go on: heliostat sweep resume {outcome.run.id}\n")
    else:
        stored = outcome.total - outcome.left_out
        say(f"{done}; {stored} stored, {outcome.failed} failed\n{location(outcome.run)}\n")
    if outcome.left_out:
        say(f"{outcome.left_out} cells were not needed: stop_when; without it the same sweep runs them\n")
    if outcome.rescored:
        say("its scores were made anew: the spec's scorers, weights or judge are others than before\n")
    if outcome.unscored is not None:
        say(f"no scores: {outcome.unscored}; heliostat sweep rescore {outcome.run.id}\n")
    if outcome.failed:
        say(f"the failed cells again: heliostat sweep retry-failed {outcome.run.id}\n")
    if outcome.ended is not None:
        sys.exit(EXIT_STOPPED)
    if outcome.failed:
        sys.exit(EXIT_CELLS_FAILED)


def _show_plan(planned: "Plan", *, as_json: bool = False) -> None:
    from pipelines.sweeps.display import plan_lines
    from pipelines.sweeps.estimate import estimate

    estimated = estimate(planned, recent_pace(planned.spec))
    if as_json:
        print_json({"run_id": planned.run_id, "name": planned.spec.name, **asdict(estimated)})
        return
    sys.stdout.write("\n".join(plan_lines(planned, estimated)) + "\n")
    sys.stdout.flush()
