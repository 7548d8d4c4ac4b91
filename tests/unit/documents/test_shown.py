"""What an ingest shows on a terminal and says at its end."""

import io

from rich.console import Console

from pipelines.documents.display import Display
from pipelines.documents.job_progress import Failure, JobProgress
from pipelines.documents.summary import summary


def test_the_rate_is_of_all_the_time_since_there_were_chunks() -> None:
    """It was of the time since the last file was read, which is no time where files and chunks end together."""
    clock = iter(float(second) for second in range(100))
    shown = io.StringIO()
    display = Display(Console(file=shown, width=200), clock=lambda: next(clock))
    steps = [
        JobProgress(job_id="j", state="running", files_total=2),
        JobProgress(job_id="j", state="running", files_total=2, files_done=1, chunks_total=4),
        JobProgress(job_id="j", state="done", files_total=2, files_done=2, chunks_total=8, chunks_done=8),
    ]
    for step in steps:
        display.show(step)
    *_, last = shown.getvalue().splitlines()
    rate = float(last.split("(")[1].split(" chunks/s")[0])
    assert last.startswith("files 2/2 · chunks 8/8 (")
    assert 1 <= rate <= 4


def test_the_end_accounts_for_every_file() -> None:
    failed = Failure(source="a.pdf", code="broken_document", message="a.pdf: broken", hint=None)
    done = JobProgress(job_id="j", state="done", files_total=3, documents=("one",), unchanged=1, failed=(failed,))
    assert summary(done, {".png": 2, "no ending": 1}) == [
        "1 stored (0 chunks), 1 unchanged, 1 failed",
        "  left out, of kinds that are not read: 2 .png, 1 no ending",
        "  failed: a.pdf: broken [broken_document]",
    ]
    assert len(summary(done, {})) == 2
