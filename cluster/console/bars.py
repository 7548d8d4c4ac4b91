"""What is counted, for eyes: bars on a terminal, a line now and then elsewhere."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

LINE_EVERY_S = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Count:
    """How far a bar is. total: None while nobody knows. note: what stands beside it."""

    done: int
    total: int | None
    note: str = ""


class Bars:
    """Use as a context manager. names: of the bars, from the top down. clock: seconds."""

    def __init__(self, console: Console, names: Sequence[str], clock: Callable[[], float] = time.monotonic) -> None:
        self._console = console
        self._clock = clock
        self._last_line = -LINE_EVERY_S
        self._bars: Progress | None = None
        if console.is_terminal:
            self._bars = Progress(
                TextColumn("{task.description}"),
                BarColumn(),
                MofNCompleteColumn(),
                TextColumn("{task.fields[note]}"),
                TimeElapsedColumn(),
                console=console,
            )
            self._tasks = {name: self._bars.add_task(name, total=None, note="") for name in names}

    def __enter__(self) -> Self:
        if self._bars is not None:
            self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bars is not None:
            self._bars.stop()

    def draw(self, counts: Mapping[str, Count], line: str, *, ended: bool) -> None:
        """One step: counts, by the bars' names, or the line that says the same. The last is always told."""
        if self._bars is not None:
            for name, count in counts.items():
                self._bars.update(self._tasks[name], completed=count.done, total=count.total, note=count.note)
        elif (moment := self._clock()) - self._last_line >= LINE_EVERY_S or ended:
            self._last_line = moment
            self._console.print(line, highlight=False, soft_wrap=True)
