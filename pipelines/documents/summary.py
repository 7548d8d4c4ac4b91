"""What an ingest did, for eyes."""

from collections.abc import Mapping

from pipelines.documents.job_progress import JobProgress

SHOWN = 8  # endings


def summary(progress: JobProgress, left_out: Mapping[str, int]) -> list[str]:
    """What an ingest did, as lines of text. left_out: files of other kinds that were found beside, by ending."""
    failed = len(progress.failed)
    stored, chunks = len(progress.documents), progress.chunks_done
    removed = f", {progress.removed} removed" if progress.removed else ""
    lines = [f"{stored} stored ({chunks} chunks), {progress.unchanged} unchanged, {failed} failed{removed}"]
    if left_out:
        endings = ", ".join(f"{count} {ending}" for ending, count in list(left_out.items())[:SHOWN])
        more = ", ..." if len(left_out) > SHOWN else ""
        lines.append(f"  left out, of kinds that are not read: {endings}{more}")
    for failure in progress.failed:
        told = f"{failure.message} — {failure.hint}" if failure.hint else failure.message
        lines.append(f"  failed: {told} [{failure.code}]")
    return lines
