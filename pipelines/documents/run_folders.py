"""The folders of runs, with the chunk files of each: what is being worked on, and what a killed run left."""

import os
import shutil
from contextlib import suppress
from pathlib import Path

FORGET_S = 24 * 3600.0  # chunk files of a killed run are kept a day for whoever looks into it
ABANDONED_S = 3600.0  # a run that has not shown itself for so long was killed
ALIVE_EVERY_S = 60.0


def show_alive(folder: Path) -> None:
    """Note that the run of this folder goes on; nothing where it has no files yet."""
    with suppress(FileNotFoundError):
        os.utime(folder)


def at_work(folder: Path, *, since: float) -> list[str]:
    """The documents of all runs that have shown themselves since then, in Unix seconds. folder: of all runs."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    found: set[str] = set()
    for run in _runs(folder):
        with suppress(FileNotFoundError):  # it ends just now
            if run.stat().st_mtime < since:
                continue
            for file in run.glob("*.parquet"):
                with suppress(FileNotFoundError, pa.ArrowInvalid):
                    column = pq.read_table(file, columns=["document_id"])["document_id"]
                    found.update(map(str, column.unique().to_pylist()))
    return sorted(found)


def forget_runs(folder: Path, *, older_than: float) -> None:
    """Remove the chunk files of runs that were killed before that time, in Unix seconds."""
    for run in _runs(folder):
        with suppress(FileNotFoundError):
            if run.stat().st_mtime < older_than:
                shutil.rmtree(run, ignore_errors=True)


def _runs(folder: Path) -> list[Path]:
    return [run for run in folder.iterdir() if run.is_dir()] if folder.is_dir() else []
