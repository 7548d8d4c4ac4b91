"""`ingest`, `sync` and `reindex`: files and folders into the running cluster's documents."""

import json
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cluster.config import home, load_config
from cluster.errors import CollectionNotFound, HeliostatError
from pipelines.documents.job_progress import JOB_ID, Failure, JobProgress, upload_folder, write_progress

if TYPE_CHECKING:
    from pipelines.documents.labels import Labels
    from pipelines.documents.owner import Owner
    from pipelines.documents.receipt import Receipt
    from pipelines.documents.running import Running
    from pipelines.documents.selection import Selected, Selection

WRITE_EVERY_S = 0.5  # a job's progress file: as often as somebody may look

Config = Annotated[
    Path | None,
    typer.Option(help="The config file; by default the one that the cluster runs on.", show_default=False),
]
Into = Annotated[
    str | None, typer.Option(help="The collection; by default documents.collection.", show_default=False)
]
Tags = Annotated[
    list[str] | None, typer.Option("--tag", help="Put on every document; may be given again.", show_default=False)
]
Metadata = Annotated[
    str | None, typer.Option(help="A JSON object put on every document.", show_default=False, metavar="JSON")
]
AsJson = Annotated[bool, typer.Option("--json", help="Tell the result as JSON.")]


def ingest(
    paths: Annotated[list[Path], typer.Argument(help="Files, or folders to search.", show_default=False)],
    collection: Into = None,
    tag: Tags = None,
    metadata: Metadata = None,
    config: Config = None,
    job: Annotated[str | None, typer.Option(hidden=True, help="Of an upload: report under this id.")] = None,
    as_json: AsJson = False,
) -> None:
    """Store documents: read, cut into chunks, embed, keep. What is unchanged is skipped.

    Exits with 1 where a document failed.
    """
    if job is not None and not JOB_ID.fullmatch(job):
        raise typer.BadParameter(f"{job!r} is no job's id", param_hint="--job")
    labels = _labels(tag, metadata)
    with _reported(job, config) as folder:
        from pipelines.documents.receipt import Receipt
        from pipelines.documents.running import running
        from pipelines.documents.selection import select

        cluster = running(config)
        uploaded = upload_folder(folder, job) if job else None
        chosen = select(paths, [str(uploaded)] if uploaded else cluster.settings.documents.folders)
        files = chosen.files
        receipt = Receipt(
            cluster=cluster, command="ingest", paths=tuple(paths), collection=collection, labels=labels
        )
        result = None if uploaded or chosen.closed else _unchanged(receipt, files)
        if result is None:
            wanted = _asked_for(cluster, job)
            result = _stored(receipt, files, folder, job)
            if wanted and not _asked_for(cluster, job):
                into = cluster.into(collection)
                take_back(cluster.owner(into), into, [file.source for file in files])
        if uploaded is not None:
            shutil.rmtree(uploaded, ignore_errors=True)
    _tell(with_closed(result, chosen.closed), as_json, chosen.left_out)


def _asked_for(cluster: "Running", job: str | None) -> bool:
    """Whether there is a row of an upload's job, which goes with its collection."""
    if job is None:
        return False
    from cluster.stores.database import open_database
    from cluster.stores.document_jobs import DocumentJobs

    return DocumentJobs(open_database(cluster.settings.database_url)).knows(job)


def take_back(owner: "Owner", collection: str, sources: "Sequence[str]") -> None:
    """Take out what was stored in a collection that was removed meanwhile, and the collection where it made it."""
    owner.unpublish(sources)
    if not owner.documents():
        with suppress(CollectionNotFound):
            owner.remove_collection(collection)


def sync(
    folder: Annotated[
        Path, typer.Argument(help="The folder that the collection should follow.", show_default=False)
    ],
    collection: Into = None,
    tag: Tags = None,
    metadata: Metadata = None,
    config: Config = None,
    allow_empty: Annotated[
        bool, typer.Option("--allow-empty", help="Take everything out where the folder has nothing to read.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Make a collection follow a folder: what is new or changed is stored, what vanished from it leaves.

    Only what came from that folder leaves, never what was uploaded or came from elsewhere. Exits with 1 where a
    document failed; the version of it that was stored before stays, and so does all of a folder in it that cannot
    be looked into.
    """
    labels = _labels(tag, metadata)
    from pipelines.documents.receipt import Receipt
    from pipelines.documents.running import running
    from pipelines.documents.selection import select

    cluster = running(config)
    chosen = select([folder], cluster.settings.documents.folders, allow_empty=True)
    files = chosen.files
    receipt = Receipt(cluster=cluster, command="sync", paths=(folder,), collection=collection, labels=labels)
    result = None if chosen.closed else _unchanged(receipt, files)
    if result is None:
        result = _followed(receipt, chosen, folder, allow_empty=allow_empty)
    _tell(with_closed(result, chosen.closed), as_json, chosen.left_out)


def with_closed(result: JobProgress, closed: Mapping[str, str]) -> JobProgress:
    """A run's result with the folders that could not be looked into, which have failed with all that is in them."""
    from pipelines.documents.selection import readable

    failed = tuple(
        Failure(source=name, code="unreadable", message=f"{name}: {reason}", hint="may you look into it?")
        for name, reason in ((readable(folder), closed[folder]) for folder in closed)
    )
    return replace(result, failed=(*result.failed, *failed))


def _unchanged(receipt: "Receipt", files: "Sequence[Selected]") -> JobProgress | None:
    """What a run would say that finds nothing to do; None where it may find something."""
    if not files or not receipt.holds(files, time.time()):
        return None
    from pipelines.documents.running import new_job_id

    count = len(files)
    return JobProgress(
        job_id=new_job_id(), state="done", files_total=count, files_done=count, unchanged=count, updated=time.time()
    )


def _stored(receipt: "Receipt", files: "Sequence[Selected]", folder: Path, job: str | None) -> JobProgress:
    from pipelines.documents.journal import Journal
    from pipelines.documents.running import new_job_id, store

    cluster, into = receipt.cluster, receipt.cluster.into(receipt.collection)
    journal = Journal(cluster.states(), into)
    with _shown(folder, job) as watch:
        result = store(
            files,
            cluster,
            watch,
            job_id=job or new_job_id(),
            collection=into,
            labels=receipt.labels,
            journal=journal,
        )
    if job is None:
        receipt.leave(files, journal.known)
    return result


def _followed(receipt: "Receipt", chosen: "Selection", folder: Path, *, allow_empty: bool) -> JobProgress:
    from pipelines.documents.journal import Journal
    from pipelines.documents.running import new_job_id, store
    from pipelines.documents.sync import refuse_empty, take_out, vanished

    cluster, into, files = receipt.cluster, receipt.cluster.into(receipt.collection), chosen.files
    journal = Journal(cluster.states(), into)
    gone = vanished(journal.known, folder, files, chosen.closed)
    if not allow_empty:
        refuse_empty(folder, files, gone)
    with _shown(cluster.home, None) as watch:
        # What vanished leaves after the rest was stored: a file that was renamed is not embedded again.
        result = store(
            files, cluster, watch, job_id=new_job_id(), collection=into, labels=receipt.labels, journal=journal
        )
        if gone:
            result = replace(result, removed=take_out(gone, cluster.owner(into), cluster.records(into), journal))
    receipt.leave(files, journal.known)
    return result


def reindex(collection: Into = None, config: Config = None, as_json: AsJson = False) -> None:
    """Write a collection's index anew from its vector files: nothing is read or embedded again."""
    from pipelines.documents.running import running

    cluster = running(config)
    began = time.monotonic()
    chunks = cluster.owner(collection).reindex()
    name, took = cluster.into(collection), time.monotonic() - began
    if as_json:
        typer.echo(json.dumps({"collection": name, "chunks": chunks, "seconds": round(took, 3)}))
    else:
        typer.echo(f"{name}: {chunks} chunks written anew in {took:.1f} s")


@contextmanager
def _reported(job: str | None, config: Path | None) -> Iterator[Path]:
    """An upload's job that cannot even begin says so where its uploader looks."""
    folder = load_config(config).settings.home_path if config else home()
    try:
        yield folder
    except HeliostatError as error:
        if job is not None:
            reason = JobProgress(job_id=job, state="failed", reason=error.line(), updated=time.time())
            write_progress(folder, reason)
        raise


@contextmanager
def _shown(folder: Path, job: str | None) -> Iterator[Any]:
    """Who watches the run: the terminal, and for an upload the file that its uploader reads."""
    from rich.console import Console

    from pipelines.documents.display import Display

    with Display(Console(stderr=True)) as display:
        written = 0.0

        def watch(progress: JobProgress) -> None:
            nonlocal written
            display.show(progress)
            if job is not None and (progress.state != "running" or time.monotonic() - written > WRITE_EVERY_S):
                write_progress(folder, progress)
                written = time.monotonic()

        yield watch


def _tell(result: JobProgress, as_json: bool, left_out: "Mapping[str, int]") -> None:
    from pipelines.documents.summary import summary

    if as_json:
        typer.echo(json.dumps({**asdict(result), "left_out": left_out}))
    else:
        for line in summary(result, left_out):
            typer.echo(line)
    if result.failed:
        raise typer.Exit(1)


def _labels(tags: list[str] | None, metadata: str | None) -> "Labels":
    from pipelines.documents.labels import MOST_FIELDS, MOST_TAGS, Labels, wrong_field, wrong_tag

    try:
        fields = json.loads(metadata) if metadata else {}
    except (ValueError, RecursionError) as error:
        raise typer.BadParameter(f"no JSON: {error}", param_hint="--metadata") from None
    if not isinstance(fields, dict) or len(fields) > MOST_FIELDS:
        raise typer.BadParameter(f"a JSON object of {MOST_FIELDS} fields at most", param_hint="--metadata")
    for name, value in fields.items():
        if wrong := wrong_field(name, value):
            raise typer.BadParameter(wrong, param_hint="--metadata")
    if len(tags or ()) > MOST_TAGS:
        raise typer.BadParameter(f"{MOST_TAGS} at most", param_hint="--tag")
    for tag in tags or ():
        if wrong := wrong_tag(tag):
            raise typer.BadParameter(wrong, param_hint="--tag")
    return Labels(tags=tuple(dict.fromkeys(tags or ())), metadata=fields)
