"""`heliostat models`: what models there are, getting one, and being rid of one.

Measuring them is `models_eval`, loading and unloading them `models_running`.

They work on files, whether or not a cluster runs; a running one is asked what it has loaded.
"""

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from cluster.config import home, hub_settings, load_config
from cluster.console.terminal import EXIT_FAILED, EXIT_USAGE
from cluster.errors import BadRequest, HeliostatError, NotRunning, SettingsError, StaleCluster
from cluster.library.library import Library
from cluster.library.manifest import PullProgress
from cluster.runtime.state import read_state
from cluster.settings.models import HubSettings
from deployments.loaded import loaded_names
from deployments.models_eval import evaluate
from deployments.models_promoted import promoted_for
from deployments.models_provided import provided
from deployments.models_recorded import record_of
from deployments.models_running import load, ps, unload

EXIT_INTERRUPTED = 130  # as shells say it of Ctrl-C

app = typer.Typer(no_args_is_help=True, add_completion=False, help="Models.")
models = typer.Typer(no_args_is_help=True, add_completion=False, help="List, get, show, remove and measure models.")
app.add_typer(models, name="models")
models.command("eval")(evaluate)
models.command("ps")(ps)
models.command("load")(load)
models.command("unload")(unload)

ConfigFile = Annotated[
    Path | None, typer.Option(help="Config whose `hub` is taken.", show_default="the running cluster's")
]
Name = Annotated[str, typer.Argument(metavar="NAME", help="An id, an alias, or owner/name of the Hub.")]
NameAt = Annotated[
    str, typer.Argument(metavar="NAME[@REVISION]", help="An id, an alias, or owner/name of the Hub.")
]
AsJson = Annotated[bool, typer.Option("--json", help="As JSON.")]


@models.command("list")
def list_models(
    here: Annotated[bool, typer.Option("--here", help="Only those on this machine.")] = False,
    as_json: AsJson = False,
    config: ConfigFile = None,
) -> None:
    """The models of the catalog, of the disk, and of the running cluster's providers."""
    library, loaded = Library(_hub(config)), loaded_names()
    entries = [entry for entry in library.entries() if entry.on_disk or not here]
    entries += [] if here else provided()
    if as_json:
        rows = [{**entry.as_json(), "loaded": entry.loaded_among(loaded)} for entry in entries]
        typer.echo(json.dumps(rows, indent=1))
        return
    from deployments.models_shown import show_list

    show_list(entries, loaded)


@models.command("show")
def show(name: Name, as_json: AsJson = False, config: ConfigFile = None) -> None:
    """All that is known of a model, where each figure comes from, and what the running cluster counted of it."""
    entry, loaded = Library(_hub(config)).entry(name), loaded_names()
    record = None if loaded is None else record_of(name, entry.id)
    promoted = promoted_for(name, entry.id, config=config)
    if as_json:
        row = {**entry.as_json(), "loaded": entry.loaded_among(loaded), "record": record, "promoted": promoted}
        typer.echo(json.dumps(row, indent=1))
        return
    from deployments.models_shown import show_one

    show_one(entry, loaded, record, promoted=promoted)


@models.command("pull")
def pull(
    name: NameAt,
    as_json: Annotated[bool, typer.Option("--json", help="A line of JSON for each report.")] = False,
    config: ConfigFile = None,
) -> None:
    """Get a model's files. Ctrl-C keeps what has arrived, and the next pull goes on there."""
    last = PullProgress(status="resolving", model=name)
    reports = Library(_hub(config)).pull(name)
    try:
        with _reporting(as_json) as report:
            for last in reports:
                report(last)
    except KeyboardInterrupt:
        from deployments.models_shown import size

        kept = f"{size(last.done)} of {size(last.total)} are kept; " if last.done else ""
        typer.echo(f"stopped: {kept}the same command goes on from there", err=True)
        raise typer.Exit(EXIT_INTERRUPTED) from None
    except HeliostatError as error:
        if not as_json:
            raise
        typer.echo(json.dumps({"status": "error", **_as_json(error)}))
        raise typer.Exit(EXIT_USAGE if isinstance(error, BadRequest | SettingsError) else EXIT_FAILED) from None
    finally:
        reports.close()
    if not as_json:
        typer.echo(last.folder or last.note)


@models.command("rm")
def remove(
    name: NameAt,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    as_json: AsJson = False,
    config: ConfigFile = None,
) -> None:
    """Remove a model's files: all revisions, or one. Refused while the running cluster serves it."""
    from cluster.library import removal
    from deployments.models_shown import size

    library = Library(_hub(config))
    planned = removal.plan(library, name, loaded_names() or ())
    if not yes:
        if not sys.stdin.isatty():
            raise BadRequest(
                f"removing {planned.name} frees {size(planned.freed)}, and nobody is there to ask", hint="--yes"
            )
        typer.confirm(f"Remove {planned.name} and free {size(planned.freed)}?", abort=True, err=True)
    removal.remove(library, planned)
    if as_json:
        typer.echo(json.dumps(asdict(planned), indent=1))
    else:
        typer.echo(f"removed {planned.name}, {size(planned.freed)} freed")


def _hub(config: Path | None) -> HubSettings:
    """Where models are: the given config's, the running cluster's, or what the environment says."""
    if config is not None:
        return load_config(config).settings.hub
    try:
        return load_config(read_state(home()).config).settings.hub
    except (NotRunning, StaleCluster):
        return hub_settings()


@contextmanager
def _reporting(as_json: bool) -> Iterator[Callable[[PullProgress], None]]:
    if as_json:
        yield lambda progress: typer.echo(json.dumps(asdict(progress)))
        return
    from deployments.models_shown import PullBar

    with PullBar() as bar:
        yield bar.show


def _as_json(error: HeliostatError) -> dict[str, object]:
    return {
        "code": error.code,
        "legacy_code": error.legacy,
        "message": error.message,
        "hint": error.hint,
        "retry_after_s": error.retry_after_s,
    }
