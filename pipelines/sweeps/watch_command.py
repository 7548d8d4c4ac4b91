"""`heliostat sweep watch`: a run as it goes, from its folder. Heavy imports are inside: `--help` is quick."""

import json
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import typer

from pipelines.sweeps.stored_command import AsJson, SweepId
from pipelines.sweeps.targets import find_run

if TYPE_CHECKING:
    from rich.console import RenderableType

    from pipelines.sweeps.lookout import Leader, View

EXIT_CELLS_FAILED = 1
EXIT_STOPPED = 3  # it ended early: paused, cancelled, interrupted, or at its budget or deadline
EXIT_UNWATCHED = 130  # what a shell says of a program that Ctrl-C ended; the sweep goes on
REPEAT_S = 5.0  # between two plain lines
BAR = 24  # characters
CODES = 4  # of errors that are named


def add_to(app: typer.Typer) -> None:
    """Put the command into `heliostat sweep`."""
    app.command()(watch)


def watch(sweep_id: SweepId, json_: AsJson = False) -> None:
    """Watch a sweep until it ends, whoever drives it. Needs no cluster; Ctrl-C leaves the sweep alone."""
    from pipelines.sweeps.lookout import follow

    views = follow(find_run(sweep_id))
    try:
        if json_:
            last = _numbered(views)
        elif sys.stdout.isatty():
            last = _live(views)
        else:
            last = _plain(views)
    except KeyboardInterrupt:
        sys.exit(EXIT_UNWATCHED)
    if last.status in ("completed", "failed"):
        sys.exit(EXIT_CELLS_FAILED if last.failed or last.status == "failed" else 0)
    sys.exit(EXIT_STOPPED)


def line_of(view: "View") -> str:
    """A view in one line: `12/40 cells, 31 cells/min, 0 errors, 54 seconds left; best completeness 71.2 …`."""
    from pipelines.sweeps.display import duration, harmless

    parts = [f"{view.done}/{view.total} cells"]
    if view.cells_per_minute is not None:
        parts.append(f"{view.cells_per_minute:,.0f} cells/min")
    parts.append(f"{view.failed} errors{_codes(view)}")
    if view.remaining_s:
        parts.append(f"{duration(view.remaining_s)} left")
    best = harmless(f"; best {_best(view.best)}") if view.best is not None else ""
    ending = f"; {_standing(view)}" if view.ended or view.done == view.total else ""
    return ", ".join(parts) + best + ending


def table_of(view: "View") -> "RenderableType":
    """A view as a table: a row a model, and what is best so far below."""
    from rich.console import Group
    from rich.markup import escape
    from rich.table import Table
    from rich.text import Text

    from pipelines.sweeps.display import duration, harmless

    table = Table("model", "", "cells", "errors", "cells/min", "left")
    for column in table.columns[2:]:
        column.justify = "right"
    for one in view.models:
        share = None if one.total is None else one.done / max(one.total, 1)
        pace = one.cells_per_minute if not view.ended else None
        left = one.remaining_s if not view.ended else None
        table.add_row(
            escape(one.model),
            "" if share is None else _bar(share),
            f"{one.done:,}" if one.total is None else f"{one.done:,}/{one.total:,}",
            f"{one.failed:,}",
            "–" if pace is None else f"{pace:,.0f}",
            "–" if not left else duration(left),
        )
    lines = [harmless(f"{view.name} [{view.id}]: {_standing(view)}"), _counts(view)]
    best = harmless(f"best so far: {_best(view.best)}") if view.best is not None else "best so far: no scores yet"
    why = [f"  {view.best.reason}"] if view.best is not None and view.best.reason else []
    return Group(*map(Text, lines), table, *map(Text, [best, *why]))


def _counts(view: "View") -> str:
    head = line_of(replace(view, best=None, ended=False))
    return head.partition(";")[0]


def _best(leader: "Leader") -> str:
    mean = "–" if leader.mean is None else f"{leader.mean:.1f}"
    interval = "" if leader.low is None or leader.high is None else f" [{leader.low:.1f}, {leader.high:.1f}]"
    sure = "" if leader.p_best is None else f", P(best) {leader.p_best:.2f}"
    winner = "; it is the winner" if leader.shown else ""
    return f"{leader.metric} {mean}{interval}: {leader.label}{sure}{winner}"


def _standing(view: "View") -> str:
    if not view.ended:
        return "scoring" if view.done == view.total else view.status
    why = f": {view.reason}" if view.reason else ""
    on = "" if view.status == "completed" else f"; to go on: heliostat sweep resume {view.id}"
    return f"{view.status}{why}{on}"


def _codes(view: "View") -> str:
    named = [f"{count} {code}" for code, count in list(view.errors.items())[:CODES]]
    more = [f"{len(view.errors) - CODES} more codes"] if len(view.errors) > CODES else []
    return f" ({', '.join([*named, *more])})" if named else ""


def _bar(share: float) -> str:
    full = round(share * BAR)
    return "━" * full + "╌" * (BAR - full)


def _live(views: "Iterator[View]") -> "View":
    """A table that is drawn anew with each look, and stays as it was last."""
    from rich.live import Live

    from cluster.console.output import output

    with Live(console=output(), auto_refresh=False) as live:
        for view in views:
            live.update(table_of(view), refresh=True)
            last = view
    return last


def _plain(views: "Iterator[View]") -> "View":
    """Lines every few seconds while something comes, and one for the end."""
    shown_at, done = -REPEAT_S, -1
    for view in views:
        now = time.monotonic()
        if view.ended or (view.done != done and now - shown_at >= REPEAT_S):
            shown_at, done = now, view.done
            sys.stdout.write(line_of(view) + "\n")
            sys.stdout.flush()
        last = view
    return last


def _numbered(views: "Iterator[View]") -> "View":
    """A line of JSON, numbered from 1, for each look that saw something new, and one for the end."""
    number, said = 0, None
    for view in views:
        seen = (view.status, view.done, view.failed)
        if view.ended or seen != said:
            number, said = number + 1, seen
            told: dict[str, Any] = {"number": number, "at": datetime.now(UTC).isoformat(), **asdict(view)}
            sys.stdout.write(json.dumps(told, ensure_ascii=False) + "\n")
            sys.stdout.flush()
        last = view
    return last
