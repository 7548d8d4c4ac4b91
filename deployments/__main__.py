"""The `heliostat` console script: one face over the command lines of the three packages.

A command's module is imported when that command runs, so `heliostat --help` loads neither Ray nor torch.
"""

import importlib
import sys
from dataclasses import dataclass

import typer

from cluster.console.terminal import run


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """Where a command lives. attribute: a typer app that has it, or the command's function itself."""

    module: str
    attribute: str
    help: str


COMMANDS = {
    "up": Command(module="cluster.__main__", attribute="app", help="Start a cluster and serve a config."),
    "update": Command(module="cluster.__main__", attribute="app", help="Serve another config, without a pause."),
    "down": Command(module="cluster.__main__", attribute="app", help="Stop it."),
    "status": Command(module="cluster.__main__", attribute="app", help="What runs."),
    "events": Command(module="deployments.events", attribute="events", help="What the router decided, and why."),
    "doctor": Command(module="cluster.__main__", attribute="app", help="Check this machine."),
    "demo": Command(
        module="deployments.demo", attribute="demo", help="Serve, retrieve and sweep, with one report."
    ),
    "users": Command(module="deployments.accounts", attribute="app", help="Make and disable accounts."),
    "keys": Command(module="deployments.accounts", attribute="app", help="Make and revoke API keys."),
    "ask": Command(module="deployments.ask", attribute="ask", help="Answer a question from the documents."),
    "ingest": Command(module="pipelines.documents.command", attribute="ingest", help="Store documents."),
    "upload": Command(module="deployments.upload", attribute="upload", help="Send documents to a server."),
    "sync": Command(module="pipelines.documents.command", attribute="sync", help="Make documents follow a folder."),
    "documents": Command(module="pipelines.__main__", attribute="app", help="List, show and remove documents."),
    "reindex": Command(module="pipelines.__main__", attribute="app", help="Rebuild an index; nothing is embedded."),
    "eval": Command(module="pipelines.__main__", attribute="app", help="Measure how good retrieval is."),
    "sweep": Command(module="pipelines.__main__", attribute="app", help="Run and show parameter sweeps."),
    "models": Command(
        module="deployments.models", attribute="app", help="List, get, show, remove and measure models."
    ),
    "train": Command(module="pipelines.__main__", attribute="app", help="Train the built-in models."),
}


def main(arguments: list[str] | None = None) -> None:
    """Run `heliostat …` and exit."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    name = next((word for word in words if not word.startswith("-")), None)
    command = COMMANDS.get(name or "")
    if name is None or command is None:
        run(_face(), words)
        return
    target = getattr(importlib.import_module(command.module), command.attribute)
    if isinstance(target, typer.Typer):
        run(target, words)
        return
    single = typer.Typer(add_completion=False)
    single.command(name)(target)
    words.remove(name)
    run(single, words, program=f"heliostat {name}")


def _face() -> typer.Typer:
    """Names and help of all commands, for `--help` and for a command that does not exist."""
    app = typer.Typer(no_args_is_help=True, add_completion=False, help=__doc__.split("\n")[0] if __doc__ else None)
    for name, command in COMMANDS.items():
        app.command(name, help=command.help)(_never_called)
    app.callback()(_never_called)
    return app


def _never_called() -> None:
    """`main` runs every command that exists before it gets here."""


if __name__ == "__main__":
    main()
