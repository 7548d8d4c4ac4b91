"""Models on a terminal: the table, one model with where its figures come from, and the bar of a pull."""

import sys
import time
from collections.abc import Mapping, Sequence, Set
from types import TracebackType
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn
from rich.table import Table

from cluster.console.output import output
from cluster.library.entry import ModelEntry
from cluster.library.manifest import PullProgress
from deployments.models_promoted import line as promotion_line
from deployments.models_recorded import lines as record_lines

REPEAT_S = 5.0  # between two lines of a pull where there is no terminal
UNITS = ("B", "KiB", "MiB", "GiB", "TiB")


def size(count: int | None) -> str:
    """Bytes for people."""
    if count is None:
        return ""
    amount, unit = float(count), UNITS[0]
    for unit in UNITS:
        if amount < 1024 or unit == UNITS[-1]:
            break
        amount /= 1024
    return f"{amount:.0f} {unit}" if unit == "B" or amount >= 100 else f"{amount:.1f} {unit}"


def show_list(entries: Sequence[ModelEntry], loaded: Set[str] | None, console: Console | None = None) -> None:
    """One line a model. loaded: names that the running cluster serves; None hides the column."""
    console = console or output()
    table = Table(box=None)
    table.add_column("id", no_wrap=True)  # an id that is cut is of no use
    for name in ("task", "engine"):
        table.add_column(name)
    for name in ("context", "size", "memory"):
        table.add_column(name, justify="right", no_wrap=True)
    for name in ("on disk", *(["loaded"] if loaded is not None else [])):
        table.add_column(name)
    for entry in entries:
        cells = [
            escape(entry.id),
            entry.task or "?",
            entry.kind,
            str(entry.context_length or ""),
            size(entry.size),
            size(entry.memory),
            _here(entry),
        ]
        if loaded is not None:
            cells.append("yes" if entry.loaded_among(loaded) else "")
        table.add_row(*cells)
    console.print(table)


def show_one(
    entry: ModelEntry,
    loaded: Set[str] | None,
    record: Mapping[str, Any] | None = None,
    console: Console | None = None,
    promoted: Mapping[str, Any] | None = None,
) -> None:
    """All of a model. record: what the running cluster has counted of it. promoted: what a sweep found for it."""
    console = console or output()
    console.print(f"[bold]{escape(entry.id)}[/]  {escape(entry.about)}")
    if entry.problem:
        console.print(f"cannot be loaded: {escape(entry.problem)}")
    lines = {
        "also called": ", ".join(entry.aliases),
        "provider": entry.provider,
        "engine": " ".join(f"{key}={value}" for key, value in entry.engine.items()),
        "can": ", ".join(entry.capabilities),
        "promoted": "" if promoted is None else promotion_line(promoted),
        "licence": entry.licence or "",
        "on disk": f"{_here(entry)} {entry.folder or ''}".strip(),
        "loaded": "" if loaded is None else "yes" if entry.loaded_among(loaded) else "no",
    }
    _show_lines({name: text for name, text in lines.items() if text}, console)
    figures = Table("figure", "", "from", box=None)
    for figure in entry.figures:
        value = size(figure.value) if figure.name in {"memory", "size"} else str(figure.value)
        figures.add_row(figure.name, escape(value), escape(figure.said_by))
    console.print(figures)
    if record is not None:
        console.print("of its requests to the running cluster:")
        _show_lines(record_lines(record), console)


def _show_lines(lines: Mapping[str, str], console: Console) -> None:
    table = Table(box=None, show_header=False)
    for name, text in lines.items():
        table.add_row(name, escape(text))
    console.print(table)


class PullBar:
    """How far a pull is: a bar on a terminal, a line now and then elsewhere. Both on stderr."""

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console(file=sys.stderr, highlight=False)
        self._bar: Progress | None = None
        self._line, self._said_at = "", 0.0
        if self._console.is_terminal:
            self._bar = Progress(
                TextColumn("{task.description}"),
                BarColumn(),
                DownloadColumn(binary_units=True),
                TransferSpeedColumn(),
                TimeRemainingColumn(),
                console=self._console,
            )
            self._task = self._bar.add_task("", total=None)

    def __enter__(self) -> "PullBar":
        if self._bar is not None:
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def show(self, progress: PullProgress) -> None:
        """The newest report."""
        text = progress.note if progress.status == "waiting" else f"{progress.status} {progress.file or ''}".strip()
        if self._bar is not None:
            total = progress.total or None
            self._bar.update(self._task, description=escape(text), completed=progress.done, total=total)
            return
        now, about = time.monotonic(), progress.file or text
        if about != self._line or now - self._said_at >= REPEAT_S:
            self._line, self._said_at = about, now
            far = f", {size(progress.done)} of {size(progress.total)}" if progress.total else ""
            self._console.print(f"{text}{far}", markup=False)


def _here(entry: ModelEntry) -> str:
    if entry.provider != "local":
        return f"at {entry.provider}" if entry.problem is None else f"at {entry.provider}: {entry.problem}"
    if entry.problem:
        return "broken"
    if entry.on_disk:
        return "yes"
    return f"partly, {size(entry.partial)}" if entry.partial else "no"
