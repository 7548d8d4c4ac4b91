"""`heliostat models eval`: measure the built-in models as they are served, on held-out data.

Without a URL it starts a cluster of its own, on a free port and in a home that is thrown away, and stops it.
"""

import json
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from cluster.config import environment
from cluster.engines.source import project_root
from cluster.errors import StartFailed
from cluster.runtime import ports
from cluster.runtime.state import read_state
from pipelines.training import served, served_report

CONFIG = "configs/demo.yaml"
PORTS = 16  # a block that is free together: the endpoint's, and those that Ray takes beside it
EXIT_MISSED = 1

console = Console()


def evaluate(
    model: Annotated[
        list[str] | None, typer.Option("--model", help="A built-in model; again for another. All by default.")
    ] = None,
    url: Annotated[str | None, typer.Option(help="Of a running server; else one is started.")] = None,
    config: Annotated[Path | None, typer.Option(help="What to start.", show_default=CONFIG)] = None,
    each: Annotated[int, typer.Option(min=1, help="Questions of each task.")] = 100,
    misses: Annotated[bool, typer.Option(help="Show some wrong answers.")] = False,
    json_: Annotated[Path | None, typer.Option("--json", help="Also write all that was measured here.")] = None,
    cards: Annotated[bool, typer.Option(help="Replace the measured tables in the models' cards.")] = False,
    check: Annotated[bool, typer.Option("--check", help="Exit 1 when a target is missed.")] = False,
) -> None:
    """Ask the served models the held-out tasks, and print the tables."""
    wanted = model or list(served.TASKS_OF)
    for name in wanted:
        served.tasks_of(name)  # a wrong name is said before anything starts
    with _server(url, config or project_root() / CONFIG) as address:
        measured = [served.measure(address, name, each=each, said=_say) for name in wanted]
    for one in measured:
        served_report.show(one, console)
        if misses:
            served_report.show_misses(one, console)
        if cards:
            served_report.write_card_table(project_root() / "models" / one.model / "README.md", one)
    if json_ is not None:
        json_.write_text(json.dumps(served_report.as_json(measured), indent=1) + "\n", encoding="utf-8")
    if check and not all(one.reached for one in measured):
        raise typer.Exit(EXIT_MISSED)


def _interrupt(*_: Any) -> None:
    raise KeyboardInterrupt


def _say(line: str) -> None:
    typer.echo(line, err=True)


@contextmanager
def _server(url: str | None, config: Path) -> Iterator[str]:
    """The given server, or one that lives as long as the block. Raises StartFailed."""
    if url is not None:
        yield url
        return
    signal.signal(signal.SIGTERM, _interrupt)  # or what was started would stay
    home = Path(tempfile.mkdtemp(prefix="heliostat-eval-"))
    try:
        _heliostat(home, "up", str(config), "--port", str(ports.free_block(PORTS)), "--detach")
        yield read_state(home).url
    finally:
        if (home / "run" / "cluster.json").is_file():
            _heliostat(home, "down")
        shutil.rmtree(home, ignore_errors=True)


def _heliostat(home: Path, command: str, *arguments: str) -> None:
    argv = [sys.executable, "-m", "deployments", command, *arguments]
    env = {**environment(), "HELIOSTAT_HOME": str(home)}
    if subprocess.run(argv, check=False, cwd=project_root(), env=env).returncode != 0:
        raise StartFailed(f"`heliostat {command}` failed", hint="its output is above")
