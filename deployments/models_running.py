"""`heliostat models ps | load | unload`: what the running cluster has loaded, over HTTP as any client would."""

import json
import time
from typing import Annotated, Any
from urllib.parse import quote

import typer

from cluster.config import credentials, home
from cluster.console.output import output
from cluster.durations import seconds
from cluster.errors import BadRequest, NotRunning
from cluster.runtime.state import read_state
from deployments.events import refused

ANSWER_S = 30.0
LOAD_S = 1800.0  # the cluster's own limit is lower, and says why it gave up

Name = Annotated[str, typer.Argument(metavar="NAME", help="A model's id or alias.")]
Url = Annotated[str | None, typer.Option(help="Of the server; the running cluster's by default.")]
AsJson = Annotated[bool, typer.Option("--json", help="As JSON.")]


def ps(url: Url = None, as_json: AsJson = False) -> None:
    """What is loaded: how large, where, used by whom, and until when."""
    rows = _asked("GET", url, "/loaded")["data"]
    if as_json:
        typer.echo(json.dumps(rows, indent=1))
        return
    from rich.table import Table

    table = Table("id", "state", "engine", "device", box=None)
    for name in ("memory", "replicas", "in use", "waiting"):
        table.add_column(name, justify="right")
    table.add_column("until")
    for row in rows:
        memory = f"{row['memory_gib']:.2f} GiB" if row["memory_gib"] else ""
        counts = (str(row["replicas"]), str(row["in_use"]), str(row["waiting"]))
        table.add_row(
            row["id"], row["state"], row["engine"], row["device"], memory, *counts, until(row, time.time())
        )
    output().print(table)


def load(
    name: Name,
    pin: Annotated[bool | None, typer.Option("--pin/--unpin", help="Never unload it for another.")] = None,
    keep_alive: Annotated[str | None, typer.Option(help="Idle time it stays for: 300, 10m, -1 for ever.")] = None,
    url: Url = None,
    as_json: AsJson = False,
) -> None:
    """Load a model, and return when it answers."""
    wanted: dict[str, Any] = {}
    if pin is not None:
        wanted["pin"] = pin
    if keep_alive is not None:
        try:
            wanted["keep_alive"] = seconds(keep_alive)
        except ValueError:
            raise BadRequest(f"{keep_alive!r} is no span of time", hint="300, 10m, 0, or -1 for ever") from None
    row = _asked("POST", url, f"/{quote(name)}/load", wanted)
    took = f"{row['id']} is loaded, {row['memory_gib']:.2f} GiB, in {row['load_s']:.1f} s"
    typer.echo(json.dumps(row, indent=1) if as_json else took)


def unload(
    name: Name,
    force: Annotated[bool, typer.Option("--force", help="Also while requests use it.")] = False,
    url: Url = None,
) -> None:
    """Unload a model, and return when its memory is free."""
    row = _asked("POST", url, f"/{quote(name)}/unload", {"force": force})
    typer.echo(f"{row['id']} is unloaded")


def until(row: dict[str, Any], now: float) -> str:
    """When a model goes, for people; of one on its way, what it waits for."""
    if row["fixed"]:
        return "the cluster stops"
    if row["pinned"]:
        return "it is unpinned"
    if row["in_use"]:
        return "in use"
    if row["until"] is None:
        return "for ever" if row["state"] == "ready" else str(row.get("detail") or "")
    left = max(0, round(row["until"] - now))
    return f"in {left} s" if left < 120 else f"in {left / 60:.0f} min"


def _asked(method: str, url: str | None, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
    """The answer's JSON. Raises NotRunning, and the server's refusal as it words it."""
    import httpx

    address = (url or read_state(home()).url).rstrip("/")
    address, timeout = f"{address}/api/v1/models{path}", LOAD_S if path.endswith("load") else ANSWER_S
    try:
        response = httpx.request(
            method,
            address,
            json=body,
            headers=credentials(),
            timeout=timeout,
            trust_env=False,
        )
    except (httpx.InvalidURL, httpx.UnsupportedProtocol, httpx.TransportError) as error:
        raise NotRunning(f"{address} does not answer: {error}", hint="heliostat status") from None
    if response.is_success:
        answer: dict[str, Any] = response.json()
        return answer
    raise refused(response.status_code, response.content)
