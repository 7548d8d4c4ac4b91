"""`heliostat sweep promote`. Heavy imports are inside: `--help` is quick."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cluster.errors import BadRequest, Conflict, NotFound
from pipelines.sweeps.targets import database_of, find_run

if TYPE_CHECKING:
    from cluster.stores.promotions import Promotion, Promotions
    from pipelines.sweeps.promotion import Chosen


def add_to(app: typer.Typer) -> None:
    """Put the command into `heliostat sweep`."""
    app.command()(promote)


def promote(
    sweep_id: Annotated[
        str | None, typer.Argument(metavar="[ID]", help="A sweep's id, or the beginning of it.", show_default=False)
    ] = None,
    configuration: Annotated[
        str | None, typer.Option(help="A configuration's id, or the beginning of it.", show_default="the winner")
    ] = None,
    model: Annotated[str | None, typer.Option(help="Compare only this model's configurations.")] = None,
    metric: Annotated[
        str | None, typer.Option(help="The score to be best by.", show_default="overall, else completeness")
    ] = None,
    undo: Annotated[
        str | None, typer.Option("--undo", metavar="MODEL", help="Take back what was promoted for a model.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would change, and stop.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Don't ask.")] = False,
    config: Annotated[
        Path | None, typer.Option(help="Config whose database is taken.", show_default="the running cluster's")
    ] = None,
) -> None:
    """Have a model generate with a sweep's winning parameters where a request says nothing; no restart."""
    if (sweep_id is None) == (undo is None):
        raise BadRequest("name a sweep, or a model with --undo", hint="heliostat sweep promote ID")
    if undo is not None:
        _take_back(undo, config, dry_run=dry_run, yes=yes)
        return
    from cluster.stores.database import now
    from pipelines.analysis.frame import COLUMNS
    from pipelines.sweeps.promotion import choose

    run = find_run(sweep_id or "")
    if run.running:
        raise Conflict(f"The sweep {run.id} still runs: who is best may change", hint="sweep watch, or sweep pause")
    chosen = choose(
        run.table(COLUMNS),
        run_id=run.id,
        run_name=run.manifest().name,
        moment=now().replace(microsecond=0),
        model=model,
        configuration=configuration,
        metric=metric,
    )
    store = _store(config)
    sys.stdout.write("\n".join(_lines(chosen, store.get(chosen.promotion.model))) + "\n")
    if dry_run:
        return
    _agree(f"Promote them for {chosen.promotion.model}?", yes=yes)
    store.put(chosen.promotion)
    say = sys.stdout.write
    say("promoted: every gateway has it within a second; what a request says itself still wins\n")
    say(f"to take it back: heliostat sweep promote --undo {chosen.promotion.model}\n")


def _take_back(model: str, config: Path | None, *, dry_run: bool, yes: bool) -> None:
    from pipelines.sweeps.promotion import said

    store = _store(config)
    known = store.all()
    if model not in known:
        hint = f"promoted: {', '.join(sorted(known))}" if known else "nothing is promoted"
        raise NotFound(f"Nothing was promoted for {model!r}", hint=hint)
    sys.stdout.write(f"{model} has {said(known[model].parameters)}, from {_origin(known[model])}\n")
    if dry_run:
        return
    _agree("Take that back?", yes=yes)
    store.remove(model)
    sys.stdout.write(f"{model} generates again with what its config and its files say\n")


def _lines(chosen: "Chosen", before: "Promotion | None") -> list[str]:
    from pipelines.sweeps.promotion import said

    this, figure = chosen.promotion, chosen.figure
    lines = [f"{this.model}: {said(this.parameters)}", f"  from: {_origin(this)}"]
    if figure is not None and figure.mean is not None:
        interval = "" if figure.low is None else f" [{figure.low:.1f}, {figure.high:.1f}]"
        sure = "" if this.p_best is None else f", P(best) {this.p_best:.2f}"
        lines.append(f"  {this.metric}: {figure.mean:.1f}{interval} over {figure.prompts} prompts{sure}")
    lines.append("  it is the winner" if this.winner else "  no winner was shown; it is the one that you name")
    if chosen.left_out:
        lines.append(f"  left out: {said(chosen.left_out)}; how long an answer may be is each request's own")
    if before is not None:
        lines.append(f"  in place of: {said(before.parameters)}, from {_origin(before)}")
    return lines


def _origin(promotion: "Promotion") -> str:
    from pipelines.sweeps.display import harmless

    return harmless(f"{promotion.run_name} [{promotion.run_id}], configuration {promotion.config_id}")


def _agree(question: str, *, yes: bool) -> None:
    if yes:
        return
    if not sys.stdin.isatty():
        raise BadRequest("it changes what a model answers, and nobody is there to ask", hint="--yes")
    typer.confirm(question, abort=True)


def _store(config: Path | None) -> "Promotions":
    from cluster.stores.database import open_database
    from cluster.stores.promotions import Promotions

    return Promotions(open_database(database_of(config)))
