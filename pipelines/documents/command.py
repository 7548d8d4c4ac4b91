"""`ingest`: files and folders into the running cluster's documents."""

import shutil
import time
import uuid
from pathlib import Path
from typing import Annotated

import typer

from cluster.config import home, load_config
from cluster.errors import HeliostatError, SettingsError
from cluster.runtime.state import read_state
from cluster.settings.tree import Settings
from pipelines.documents.job_progress import JOB_ID, JobProgress, upload_folder, write_progress
from pipelines.documents.selection import Selected, select

WRITE_EVERY_S = 0.5  # a job's progress file: as often as somebody may look


def ingest(
    paths: Annotated[list[Path], typer.Argument(help="Files, or folders to search: PDF, text and Markdown.")],
    config: Annotated[
        Path | None, typer.Option(help="The config file; by default the one that the cluster runs on.")
    ] = None,
    job: Annotated[str | None, typer.Option(hidden=True, help="Of an upload: report under this id.")] = None,
) -> None:
    """Store documents: read, cut into chunks, embed, keep. What is unchanged is skipped.

    Exits with 1 where a document failed.
    """
    result = _run(paths, config, job)
    from pipelines.documents.display import summary

    for line in summary(result):
        typer.echo(line)
    if result.failed:
        raise typer.Exit(1)


def _run(paths: list[Path], config: Path | None, job: str | None) -> JobProgress:
    if job is not None and not JOB_ID.fullmatch(job):
        raise typer.BadParameter(f"{job!r} is no job's id", param_hint="--job")
    folder = load_config(config).settings.home_path if config else home()
    try:
        state = read_state(folder)
        settings = load_config(config or state.config).settings
        if not settings.embedding_models:
            raise SettingsError(
                f"{config or state.config}: models: no embedding model", hint="add one to store with"
            )
        uploaded = upload_folder(folder, job) if job else None
        files = select(paths, [str(uploaded)] if uploaded else settings.documents.folders)
        result = _ingest(files, settings, state.application, folder, job)
    except HeliostatError as error:
        if job is not None:
            write_progress(
                folder, JobProgress(job_id=job, state="failed", reason=error.line(), updated=time.time())
            )
        raise
    if uploaded is not None:
        shutil.rmtree(uploaded, ignore_errors=True)
    return result


def _ingest(
    files: tuple[Selected, ...], settings: Settings, application: str, folder: Path, job: str | None
) -> JobProgress:
    from rich.console import Console

    from pipelines.driver import become_driver

    become_driver(folder)
    from pipelines.documents.display import Display
    from pipelines.documents.owner import Owner
    from pipelines.documents.pipeline import Ingest
    from pipelines.documents.pool import ActorPool
    from pipelines.documents.stages import Place

    run_id = job or f"ingest-{uuid.uuid4().hex[:16]}"
    place = Place(settings=settings, application=application, folder=str(folder / "documents" / "runs" / run_id))
    with Display(Console(stderr=True)) as display:
        written = 0.0

        def watch(progress: JobProgress) -> None:
            nonlocal written
            display.show(progress)
            if job is not None and (progress.state != "running" or time.monotonic() - written > WRITE_EVERY_S):
                write_progress(folder, progress)
                written = time.monotonic()

        return Ingest(place, ActorPool(place), Owner(application), watch, job_id=run_id).run(files)
