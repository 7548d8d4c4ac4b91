"""`heliostat upload`: files and folders to a server, over HTTP as any client would send them."""

import asyncio
import json
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from cluster.config import home
from cluster.console.bars import Bars, Count
from cluster.errors import BadRequest
from cluster.runtime.state import read_state
from deployments.upload_sender import Local, Sender, Words
from pipelines.documents.job_progress import JobProgress
from pipelines.documents.media import is_readable
from pipelines.documents.selection import by_ending, files_below
from pipelines.documents.summary import summary


def upload(
    paths: Annotated[list[Path], typer.Argument(help="Files, or folders to search.", show_default=False)],
    collection: Annotated[
        str | None, typer.Option(help="Its name or id; by default the one that all share.", show_default=False)
    ] = None,
    tag: Annotated[
        list[str] | None,
        typer.Option("--tag", help="Put on every document; may be given again.", show_default=False),
    ] = None,
    metadata: Annotated[
        str | None,
        typer.Option(help="A JSON object put on every document.", show_default=False, metavar="JSON"),
    ] = None,
    url: Annotated[
        str | None, typer.Option(help="Of the server; the running cluster's by default.", show_default=False)
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Tell the result as JSON.")] = False,
) -> None:
    """Send documents to a server, which may be another machine's. What it has already changes nothing.

    Exits with 1 where a document failed.
    """
    found = chosen(paths)
    words = Words(collection=collection, tags=tuple(tag or ()), metadata=metadata)
    sender = Sender(url or read_state(home()).url, words)
    with Display(Console(stderr=True)) as display:
        result = asyncio.run(sender.send(found.files, display.show))
    if as_json:
        typer.echo(json.dumps({**asdict(result), "left_out": found.left_out}))
    else:
        for line in summary(result, found.left_out):
            typer.echo(line)
    if result.failed:
        raise typer.Exit(1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """What to send. left_out: files in folders of a kind that is not read, counted by ending."""

    files: tuple[Local, ...]
    left_out: Mapping[str, int]


def chosen(paths: list[Path]) -> Chosen:
    """The files to send, each once.

    Files of a folder are named below it, with its own name first. What is hidden or of another type is left out of
    folders, and sent where it was named itself. Raises BadRequest for a path that is not there, a folder with
    nothing to read, and two files that would have one name.
    """
    found: dict[Path, Local] = {}
    others: set[str] = set()
    for path in paths:
        real = path.expanduser().resolve()
        if not real.exists():
            raise BadRequest(f"{path}: no such file or folder", hint="name files or folders that exist")
        inside = list(_inside(real)) if real.is_dir() else []
        some = [each for each in inside if is_readable(each.source)]
        others.update(each.source for each in inside if not is_readable(each.source))
        if not real.is_dir():
            some = [Local(path=real, source=real.name)]
        if not some:
            raise BadRequest(
                f"{path}: no file to read in this folder", hint="PDF, Word, HTML, text and such are read"
            )
        for local in some:
            found.setdefault(local.path, local)
    names = Counter(local.source for local in found.values())
    twice = next((name for name, count in names.items() if count > 1), None)
    if twice is not None:
        raise BadRequest(f"Several files would be {twice!r}", hint="name the folder that holds them")
    return Chosen(files=tuple(found.values()), left_out=by_ending(others))


def _inside(folder: Path) -> Iterator[Local]:
    for file in files_below(folder):
        below = file.relative_to(folder).as_posix()
        yield Local(path=file.resolve(), source=f"{folder.name}/{below}" if folder.name else below)


class Display(Bars):
    """Shows progress on stderr: of files, with what became of them."""

    def __init__(self, console: Console, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__(console, ("files",), clock)

    def show(self, progress: JobProgress) -> None:
        """Draw one step."""
        note = f"{progress.chunks_done} chunks"
        if progress.failed:
            note += f", {len(progress.failed)} failed"
        files = Count(done=progress.files_done, total=progress.files_total, note=note)
        line = f"files {progress.files_done}/{progress.files_total} · {note}"
        self.draw({"files": files}, line, ended=progress.state != "running")
