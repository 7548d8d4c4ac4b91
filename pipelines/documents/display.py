"""An ingest's progress for eyes: a bar on a terminal, a line now and then elsewhere."""

import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from pipelines.documents.job_progress import JobProgress

LINE_EVERY_S = 2.0


class Display:
    """Shows progress on stderr, so that stdout holds the summary alone."""

    def __init__(self, console: Console, clock: Callable[[], float] = time.monotonic) -> None:
        self._console = console
        self._clock = clock
        self._last_line = -LINE_EVERY_S
        self._embedding_since: float | None = None
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
            self._files = self._bars.add_task("files", total=None, note="")
            self._chunks = self._bars.add_task("chunks", total=None, note="")

    def __enter__(self) -> Self:
        if self._bars is not None:
            self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bars is not None:
            self._bars.stop()

    def show(self, progress: JobProgress) -> None:
        """Draw one step."""
        if self._embedding_since is None and progress.chunks_total:
            self._embedding_since = self._clock()
        if self._bars is not None:
            self._bars.update(self._files, total=progress.files_total, completed=progress.files_done)
            total = progress.chunks_total or None
            self._bars.update(self._chunks, total=total, completed=progress.chunks_done, note=self._rate(progress))
        elif progress.state != "running" or self._clock() - self._last_line >= LINE_EVERY_S:
            self._last_line = self._clock()
            self._console.print(
                f"files {progress.files_done}/{progress.files_total} · "
                f"chunks {progress.chunks_done}/{progress.chunks_total} {self._rate(progress)}".rstrip(),
                highlight=False,
                soft_wrap=True,
            )

    def _rate(self, progress: JobProgress) -> str:
        if self._embedding_since is None or not progress.chunks_done:
            return ""
        elapsed = max(self._clock() - self._embedding_since, 1e-3)
        return f"({progress.chunks_done / elapsed:.0f} chunks/s)"
