"""`heliostat up`, `down`, `status`, `doctor`: also `python -m cluster …`."""

import contextlib
import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from cluster.config import home
from cluster.console.terminal import complain, run
from cluster.errors import NotRunning, StaleCluster
from cluster.runtime.interrupts import Interrupts
from cluster.runtime.state import ClusterState

app = typer.Typer(no_args_is_help=True, add_completion=False, help="Start, stop and look at the cluster.")


@app.command()
def up(
    config: Annotated[Path, typer.Argument(help="A config, such as configs/demo.yaml.")],
    port: Annotated[int | None, typer.Option(min=1, max=65535, help="HTTP port, instead of the config's.")] = None,
    detach: Annotated[bool, typer.Option("--detach", "-d", help="Return once it serves.")] = False,
    address: Annotated[str | None, typer.Option(help="Join this Ray cluster (host:port, or auto).")] = None,
    plain_proxy: Annotated[bool, typer.Option("--plain-proxy", help="Serve's Python proxy, not HAProxy.")] = False,
    timeout: Annotated[float, typer.Option(min=1, help="Seconds it may take to start.")] = 300.0,
) -> None:
    """Start a cluster, deploy CONFIG, and stay until Ctrl-C."""
    interrupts = Interrupts()
    interrupts.listen()
    from cluster.console.progress import Progress
    from cluster.runtime.lifecycle import StartOptions, down, hold
    from cluster.runtime.lifecycle import up as start

    options = StartOptions(config=config, port=port, address=address, plain_proxy=plain_proxy, timeout_s=timeout)
    with Progress() as progress:
        state = start(options, progress, interrupts)
    with contextlib.suppress(
        OSError
    ):  # the terminal may have gone at the last moment: what runs must still be stopped
        _introduce(state, detached=detach)
    if detach and not interrupts.asked():
        return
    if not hold(state, interrupts.asked):
        try:
            stopped = down(Path(state.home))
        except NotRunning:
            _tell("stopped by `heliostat down`")
            return
        _tell(f"error: the cluster died; cleaned up {stopped.processes} processes, logs: {_logs(state)}")
        raise typer.Exit(1)
    _tell("stopping …")
    stopped = down(Path(state.home))
    _tell(f"stopped {stopped.processes} processes")


@app.command()
def update(
    config: Annotated[Path, typer.Argument(help="The config that is to run from now on.")],
    timeout: Annotated[float, typer.Option(min=1, help="Seconds it may take.")] = 300.0,
) -> None:
    """Deploy CONFIG on the cluster that runs: replica by replica, the old answering until the new are there."""
    interrupts = Interrupts()
    interrupts.listen()
    from cluster.console.progress import Progress
    from cluster.runtime.updating import update as deploy

    with Progress() as progress:
        state = deploy(config, progress, interrupts, timeout_s=timeout)
    _tell(f"{state.url} serves {config}")


@app.command()
def down() -> None:
    """Stop the cluster of this home: what `up` started, and nothing else."""
    from cluster.runtime.lifecycle import down as stop

    try:
        stopped = stop(home())
    except StaleCluster as error:
        from cluster.runtime.state import remove_state

        remove_state(home())
        typer.echo(f"removed: {error.message}", err=True)
        return
    if stopped.stale:
        typer.echo(f"the cluster on {stopped.state.url} was already dead; cleaned up what it left", err=True)
    elif stopped.state.kind == "joined":
        typer.echo(f"took our applications out of Ray at {stopped.state.address}; it runs on", err=True)
    else:
        typer.echo(f"stopped {stopped.processes} processes, logs: {_logs(stopped.state)}", err=True)


@app.command()
def status(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    shell: Annotated[
        bool, typer.Option("--env", help='Print what `eval "$(…)"` needs for Ray\'s own tools.')
    ] = False,
) -> None:
    """What runs. Exits 0 when healthy, 1 when degraded, 3 when nothing runs."""
    from cluster.console.status import EXIT_DEGRADED, EXIT_NOT_RUNNING, connection_lines, gather

    if shell:
        from cluster.runtime.lifecycle import current

        typer.echo("\n".join(connection_lines(current())))
        return
    try:
        found = gather()
    except (NotRunning, StaleCluster) as error:
        if as_json:
            typer.echo(json.dumps({"status": error.code, "problem": error.message, "hint": error.hint}))
        else:
            complain(error)
        raise typer.Exit(EXIT_NOT_RUNNING) from None
    if as_json:
        typer.echo(json.dumps(found.as_json(), indent=1))
    else:
        from cluster.console.tables import show_status

        show_status(found)
    raise typer.Exit(0 if found.status == "running" else EXIT_DEGRADED)


@app.command()
def doctor(
    config: Annotated[Path | None, typer.Argument(help="A config to check the machine against.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Check this machine. Exits 1 when something would not work."""
    from cluster.doctor.checks import Level, examine

    findings = examine(config)
    if as_json:
        typer.echo(json.dumps([finding.as_json() for finding in findings], indent=1))
    else:
        from cluster.console.tables import show_findings

        show_findings(findings)
    raise typer.Exit(1 if any(finding.level is Level.FAIL for finding in findings) else 0)


def _tell(line: str) -> None:
    """A line for whoever still listens: the terminal may be what has gone."""
    with contextlib.suppress(OSError):
        typer.echo(line, err=True)


def _introduce(state: ClusterState, *, detached: bool) -> None:
    down = "heliostat down" if Path(state.home) == home() else f"HELIOSTAT_HOME='{state.home}' heliostat down"
    stop = down if detached else f"Ctrl-C, or {down}"
    typer.echo(f"Heliostat serves at {state.url}  (OpenAPI: {state.url}/docs)")
    typer.echo(f"Ray dashboard:      {state.dashboard}")
    if state.token_path is not None:
        typer.echo(f"  its token is in   {state.token_path}")
    typer.echo(f"Stop it:            {stop}")
    sys.stdout.flush()


def _logs(state: ClusterState) -> Path:
    return Path(state.home) / "run" / "logs"


def main() -> None:
    """The entry point of `python -m cluster`."""
    run(app, program="python -m cluster")


if __name__ == "__main__":
    main()
