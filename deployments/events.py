"""`heliostat events`: what the router of the running cluster decided, and why, over HTTP as any client would."""

import json
from collections.abc import Iterator
from typing import Annotated, Any

import typer

from cluster.config import credentials, home
from cluster.errors import BadRequest, ClusterError, HeliostatError, NotRunning
from cluster.runtime.state import read_state

CONNECT_S = 10.0
SILENCE_S = 60.0  # the server says something at least every 15 s


def events(
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on with what comes, until Ctrl-C.")] = False,
    kind: Annotated[list[str] | None, typer.Option(help="Only these; may be repeated.")] = None,
    model: Annotated[list[str] | None, typer.Option(help="Only of these models; may be repeated.")] = None,
    since: Annotated[str | None, typer.Option(help="Only later ones: a time, or seconds back such as 90s.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="The newest so many.")] = 50,
    url: Annotated[str | None, typer.Option(help="Of the server; the running cluster's by default.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object a line.")] = False,
) -> None:
    """What was decided, and why: retries, fallbacks, breakers, refusals, models loaded and unloaded."""
    address = url or read_state(home()).url
    asked: dict[str, Any] = {"limit": limit, "kind": kind or [], "model": model or []}
    if since is not None:
        asked["since"] = since
    try:
        for event in told(address, asked) if follow else fetched(address, asked):
            typer.echo(json.dumps(event, ensure_ascii=False) if as_json else line(event))
    except KeyboardInterrupt:
        return


def fetched(url: str, asked: dict[str, Any]) -> list[dict[str, Any]]:
    """The newest events, oldest first. Raises NotRunning, BadRequest, ClusterError."""
    import httpx

    try:
        response = httpx.get(_path(url), params=asked, headers=credentials(), timeout=CONNECT_S)
    except (httpx.InvalidURL, httpx.UnsupportedProtocol, httpx.TransportError) as error:
        raise NotRunning(f"{url} does not answer: {error}", hint="heliostat status") from None
    if response.status_code != 200:
        raise refused(response.status_code, response.content)
    found: list[dict[str, Any]] = response.json()["data"]
    return found


def told(url: str, asked: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The same, then each event as it comes. Raises as `fetched` does, also when the server goes away."""
    import httpx

    try:
        limits = httpx.Timeout(CONNECT_S, read=SILENCE_S)
        asking = {**asked, "follow": "true"}
        with httpx.stream("GET", _path(url), params=asking, headers=credentials(), timeout=limits) as response:
            if response.status_code != 200:
                raise refused(response.status_code, response.read())
            for text in response.iter_lines():
                if text.startswith("data: "):
                    yield json.loads(text.removeprefix("data: "))
    except (httpx.InvalidURL, httpx.UnsupportedProtocol, httpx.TransportError) as error:
        raise NotRunning(f"{url} does not answer: {error}", hint="heliostat status") from None


def line(event: dict[str, Any]) -> str:
    """One event as one line of text."""
    inputs = " ".join(f"{name}={_short(value)}" for name, value in event["inputs"].items())
    times = f" ×{event['count']}" if event["count"] > 1 else ""
    request = f" [{event['request_id']}]" if event["request_id"] else ""
    return (
        f"{event['at']} {event['kind']:<13} {event['model']}: {event['reason']}{times} {inputs}{request}".rstrip()
    )


def _short(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _path(url: str) -> str:
    return f"{url.rstrip('/')}/api/v1/events"


def refused(status: int, body: bytes) -> HeliostatError:
    """The server's error, in its own words."""
    try:
        error = json.loads(body)["error"]
        message, hint = str(error["message"]), error.get("hint")
    except (ValueError, KeyError, TypeError):
        return ClusterError(f"the server answered {status}", hint="is this Heliostat's URL?")
    return (BadRequest if status < 500 else ClusterError)(message, hint=hint)
