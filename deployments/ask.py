"""`heliostat ask`: a question to the running cluster, over HTTP as any client would ask it."""

import json
from typing import Annotated, Any

import typer

from cluster.config import credentials, home
from cluster.errors import BadRequest, ClusterError, HeliostatError, NotRunning
from cluster.runtime.state import read_state

TIMEOUT_S = 630.0  # a little longer than the server's own limit of a generation
SNIPPET = 160  # characters of a passage that are shown


def ask(
    question: Annotated[str, typer.Argument(help="What to ask.")],
    limit: Annotated[int | None, typer.Option(min=1, max=100, help="Passages to answer from.")] = None,
    model: Annotated[str | None, typer.Option(help="The chat model; the config's by default.")] = None,
    collection: Annotated[str | None, typer.Option(help="Its name or id; the shared one by default.")] = None,
    url: Annotated[str | None, typer.Option(help="Of the server; the running cluster's by default.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the server's answer as it is.")] = False,
) -> None:
    """Answer a question from the stored documents, with its sources."""
    address = url or read_state(home()).url
    wanted = {"query": question, "limit": limit, "model": model, "collection": collection}
    answer = request(address, {name: value for name, value in wanted.items() if value is not None})
    if as_json:
        typer.echo(json.dumps(answer, ensure_ascii=False, indent=2))
        return
    for line in lines(answer):
        typer.echo(line)


def request(url: str, body: dict[str, Any]) -> dict[str, Any]:
    """POST /api/v1/rag/query. Raises NotRunning where nobody answers, BadRequest and ClusterError for a refusal."""
    import httpx

    try:
        response = httpx.post(
            f"{url.rstrip('/')}/api/v1/rag/query", json=body, headers=credentials(), timeout=TIMEOUT_S
        )
    except (httpx.InvalidURL, httpx.UnsupportedProtocol) as error:
        raise BadRequest(f"{url!r} is no URL to ask: {error}", hint="--url http://127.0.0.1:8000") from None
    except httpx.TransportError as error:
        raise NotRunning(f"{url} does not answer: {error}", hint="heliostat status") from None
    try:
        answer = response.json()
    except ValueError:
        answer = None
    if response.status_code == 200 and isinstance(answer, dict):
        return answer
    raise _refused(response.status_code, answer)


def lines(answer: dict[str, Any]) -> list[str]:
    """The answer, then its citations, as lines of text."""
    found = [answer["answer"]]
    if answer["citations"]:
        found.append("")
    for citation in answer["citations"]:
        place = [citation["source"]]
        if citation["page"] is not None:
            place.append(f"page {citation['page']}")
        if citation["heading"]:
            place.append(citation["heading"])
        found.append(f"[{citation['index']}] {', '.join(place)} (score {citation['score']:.2f})")
        text = " ".join(citation["text"].split())
        found.append(f"    {text if len(text) <= SNIPPET else text[: SNIPPET - 1].rstrip() + '…'}")
    return found


def _refused(status: int, answer: Any) -> HeliostatError:
    error = answer.get("error") if isinstance(answer, dict) else None
    if not isinstance(error, dict):
        return ClusterError(f"the server answered {status}", hint="is this Heliostat's URL?")
    kind = BadRequest if status < 500 else ClusterError
    return kind(str(error.get("message")), hint=error.get("hint"))
