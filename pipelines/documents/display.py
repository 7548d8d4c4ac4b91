"""An ingest's progress for eyes: files and chunks."""

import time
from collections.abc import Callable

from rich.console import Console

from cluster.console.bars import Bars, Count
from pipelines.documents.job_progress import JobProgress


class Display(Bars):
    """Shows progress on stderr, so that stdout holds the summary alone."""

    def __init__(self, console: Console, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__(console, ("files", "chunks"), clock)
        self._embedding_since: float | None = None

    def show(self, progress: JobProgress) -> None:
        """Draw one step."""
        if self._embedding_since is None and progress.chunks_total:
            self._embedding_since = self._clock()
        rate = self._rate(progress)
        counts = {
            "files": Count(done=progress.files_done, total=progress.files_total),
            "chunks": Count(done=progress.chunks_done, total=progress.chunks_total or None, note=rate),
        }
        line = (
            f"files {progress.files_done}/{progress.files_total} · "
            f"chunks {progress.chunks_done}/{progress.chunks_total} {rate}"
        )
        self.draw(counts, line.rstrip(), ended=progress.state != "running")

    def _rate(self, progress: JobProgress) -> str:
        if self._embedding_since is None or not progress.chunks_done:
            return ""
        elapsed = max(self._clock() - self._embedding_since, 1e-3)
        return f"({progress.chunks_done / elapsed:.0f} chunks/s)"
