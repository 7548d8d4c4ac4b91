"""A sweep on a terminal: its plan, a live bar or plain lines, and the table at the end."""

import json
import re
import sys
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TextIO

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from cluster.stores.runs import Run
from pipelines.analysis.summaries import Summary
from pipelines.sweeps.axis import AnyAxis, Choices
from pipelines.sweeps.estimate import Estimate
from pipelines.sweeps.plan import Plan

if TYPE_CHECKING:
    from rich.progress import Progress as Bar
    from rich.progress import TaskID

    from pipelines.sweeps.tally import Progress

REPEAT_S = 5.0  # between two plain lines
SHOWN_VALUES = 6
CONTROL = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")  # escapes, and turned writing


def plan_lines(plan: Plan, estimated: Estimate) -> list[str]:
    """What is going to run, what it will take, and what is odd about it."""
    spec = plan.spec
    listed = plan.space.listed
    lines = [
        f"sweep {spec.name!r} [{plan.run_id}]: {plan.total:,} cells",
        f"  models: {', '.join(spec.models)}",
        f"  prompts: {len(spec.prompts):,}",
        *([f"  configurations: {len(listed):,}, listed"] if listed is not None else []),
        *(f"  {name}: {_values(axis)}" for name, axis in plan.axes.items()),
        f"  repeats: {spec.repeats}, seeds: {'one for each cell' if spec.seeds else 'none'}",
        *([f"  greedy anchors: {plan.anchors:,}"] if plan.anchors else []),
        *(
            [f"  sample: {spec.sample.kind}, {plan.configurations:,} of {plan.space.grid:,} combinations"]
            if spec.sample
            else []
        ),
        f"  prompts' tokens: about {estimated.prompt_tokens:,}",
    ]
    most = plan.max_tokens
    lines.append(
        f"  answers: {most:,} tokens at most" if most is not None else "  answers: as long as fits the context"
    )
    return lines + _taken(estimated) + [f"  note: {note}" for note in estimated.notes]


def _taken(estimated: Estimate) -> list[str]:
    lines = []
    if estimated.seconds is not None:
        lines.append(f"  time: about {duration(estimated.seconds)}, at the speed of the last run of these models")
    if estimated.cost_usd is not None:
        lines.append(f"  cost: ${estimated.cost_usd:,.2f} at most")
    if estimated.smallest_effect is not None:
        effect = estimated.smallest_effect
        lines.append(f"  detectable: differences from {effect:.2f} standard deviations between prompts on")
    else:
        lines.append(f"  detectable: nothing; {estimated.effect_note}")
    return lines


def _values(axis: AnyAxis) -> str:
    shown = ", ".join(_value(axis, place) for place in range(min(axis.count, SHOWN_VALUES)))
    if axis.count <= SHOWN_VALUES:
        return shown
    return f"{shown}, … {_value(axis, axis.count - 1)} ({axis.count:,} values)"


def _value(axis: AnyAxis, place: int) -> str:
    if isinstance(axis, Choices):
        return json.dumps(axis.at(place), ensure_ascii=False)
    return shown_number(axis.at(place))


class ProgressDisplay:
    """Shows a sweep's progress; a context manager. Its `show` is what `run_sweep` watches with."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stderr
        self._bar: Bar | None = None
        self._task: TaskID | None = None
        self._last = (-REPEAT_S, -1)
        self._said = -REPEAT_S

    def __enter__(self) -> "ProgressDisplay":
        if self._stream.isatty():
            from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

            console = Console(file=self._stream)
            columns = (BarColumn(), MofNCompleteColumn(), TextColumn("{task.description}"))
            self._bar = Progress(*columns, console=console)
            self._bar.start()
            self._task = self._bar.add_task("starting", total=None)
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.stop()

    def say(self, text: str) -> None:
        """Tell in a line what is done before the first cell; plain ones come every few seconds."""
        if self._bar is not None and self._task is not None:
            self._bar.update(self._task, description=text)
            return
        now = time.monotonic()
        if now - self._said >= REPEAT_S:
            self._said = now
            self._stream.write(f"{text}\n")
            self._stream.flush()

    def show(self, progress: "Progress") -> None:
        """Draw the figures; plain lines come every few seconds, and for the last cell."""
        text = figures(progress)
        if self._bar is not None and self._task is not None:
            self._bar.update(self._task, description=text, completed=progress.done, total=progress.total)
            return
        now, (shown_at, done) = time.monotonic(), self._last
        ended = progress.done == progress.total
        if progress.done != done and (ended or now - shown_at >= REPEAT_S):
            self._last = (now, progress.done)
            self._stream.write(f"{progress.done}/{progress.total} cells, {text}\n")
            self._stream.flush()


def figures(progress: "Progress") -> str:
    """Pace, errors and time left as one line."""
    parts = []
    if progress.cells_per_minute is not None and progress.tokens_per_s is not None:
        parts += [f"{progress.cells_per_minute:,.0f} cells/min", f"{progress.tokens_per_s:,.0f} tokens/s"]
    parts.append(f"{progress.failed} errors")
    if progress.remaining_s:
        parts.append(f"{duration(progress.remaining_s)} left")
    return ", ".join(parts)


def duration(seconds: float) -> str:
    """A length of time in words: `45 minutes`."""
    for size, unit in ((86_400, "day"), (3_600, "hour"), (60, "minute")):
        if seconds >= 1.5 * size or (unit == "minute" and seconds >= 60):
            count = round(seconds / size)
            return f"{count} {unit}{'s' if count != 1 else ''}"
    count = max(1, round(seconds))
    return f"{count} second{'s' if count != 1 else ''}"


def show_table(summaries: Sequence[Summary], console: Console) -> None:
    """One line a configuration; a parameter with one value in all lines has no column."""
    names = list(dict.fromkeys(name for summary in summaries for name in summary.parameters))
    varying = [name for name in names if len({_number(summary.parameters.get(name)) for summary in summaries}) > 1]
    metric = next((summary.metric for summary in summaries if summary.metric), "completeness")
    table = Table("model", *varying, "n", "errors", metric, "tokens", "TTFT p50 ms", "latency p50 ms")
    for column in table.columns[1:]:
        column.justify = "right"
    for summary in summaries:
        table.add_row(
            escape(summary.model),
            *(_number(summary.parameters.get(name)) for name in varying),
            str(summary.cells),
            str(summary.errors),
            *(f"{value:.1f}" if value is not None else "–" for value in _measures(summary)),
        )
    console.print(table)


def show_runs(rows: Sequence[dict[str, Any]], console: Console) -> None:
    """Stored runs, the newest first."""
    table = Table("id", "name", "models", "status", "cells", "errors", "created")
    for row in rows:
        done, total, errors = ("–" if row[name] is None else str(row[name]) for name in ("done", "total", "errors"))
        table.add_row(
            row["id"],
            escape(harmless(row["name"])),
            ", ".join(row["models"]),
            row["status"],
            f"{done}/{total}",
            errors,
            row["created"] or "–",
        )
    console.print(table)


def shown_number(value: int | float) -> str:
    """A parameter's value as a person writes it: two that differ look different."""
    return f"{value:.12g}" if isinstance(value, float) else str(value)


def harmless(text: str) -> str:
    """Text of somebody's, or lines of it, that no terminal takes for orders: a name came over the API, perhaps."""
    return CONTROL.sub(lambda found: ascii(found[0])[1:-1], text)


def location(run: Run) -> str:
    """The run's Parquet, as a pattern that DuckDB and pandas read."""
    return str(run.parts / "*.parquet")


def _measures(summary: Summary) -> tuple[float | None, ...]:
    return summary.completeness, summary.tokens, summary.ttft_ms, summary.latency_ms


def _number(value: Any) -> str:
    if value is None:
        return "–"
    if isinstance(value, int | float) and not isinstance(value, bool):
        return shown_number(value)
    return escape(json.dumps(value, ensure_ascii=False))
