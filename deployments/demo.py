"""`heliostat demo`: the main job on real input through real parts, then one report.

Every step checks that it did real work; one that did not fails the demo with a non-zero exit.
"""

import base64
import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import httpx
import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from cluster.config import credentials, home, load_config
from cluster.engines.source import project_root
from cluster.errors import HeliostatError, NotRunning
from cluster.runtime import ports
from cluster.runtime.state import ClusterState, read_state

CONFIG = "configs/demo.yaml"
SWEEP = "configs/sweeps/demo.yaml"
DOCUMENTS = ("docs",)
GUIDE = "field-guide.pdf"
QUESTION = "What is the job of Mirela Oskan?"  # only the PDF that the demo ships can answer it
CHAT = "Tell me a short story about a mirror."
PICTURE = "demo/picture.png"  # in the home
LOOK = "Describe the picture."
LOOK_CLOSER, SEEN = "What colour is the circle?", "red"
MIN_CELLS = 24
MIN_WORDS = 3  # of a description
TIMEOUT_S = 120.0

console = Console()


class DemoFailed(HeliostatError):
    """A step of the demo did not do real work."""

    code = "demo_failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A row of the report."""

    step: str
    outcome: str


def demo(
    exit_: Annotated[bool, typer.Option("--exit", help="Stop when the report is printed.")] = False,
    port: Annotated[int | None, typer.Option(help="Port of the endpoint; the config's, or a free one.")] = None,
) -> None:
    """Start, ingest, ask, chat and sweep on the built-in models; then a report, and serve until Ctrl-C."""
    signal.signal(signal.SIGTERM, _interrupt)
    ours = not _running()
    try:
        begun = time.monotonic()
        if ours:
            _up(port)
        state = read_state(home())
        lines = [Line(step="start", outcome=f"{time.monotonic() - begun:.0f} s until ready")]
        lines += _steps(state)
        _report(lines, state)
        if ours and not exit_:
            console.print(f"Serving on {state.url} until Ctrl-C.")
            while True:
                signal.pause()
    except KeyboardInterrupt:
        console.print("Stopping.")
    finally:
        if ours:
            _heliostat("down", "stop")


def _interrupt(*_: Any) -> None:
    raise KeyboardInterrupt


def _running() -> bool:
    """Whether this home's cluster is up already; the demo then uses it and leaves it running."""
    try:
        state = read_state(home())
        return httpx.get(f"{state.url}/health", timeout=5).status_code == 200
    except (NotRunning, httpx.HTTPError):
        return False


def _up(port: int | None) -> None:
    configured = load_config(project_root() / CONFIG).document["http_options"]["port"]
    chosen = port or (configured if ports.is_free(configured) else _free_port())
    if chosen != configured and port is None:
        console.print(f"Port {configured} is taken; using {chosen}.")
    _heliostat("up", "start", str(project_root() / CONFIG), "--port", str(chosen), "--detach")


def _free_port() -> int:
    return ports.free_block(1)


def _heliostat(command: str, step: str, *arguments: str) -> None:
    """Run one of our own commands, its output shown; a failure of it is a failure of the step."""
    argv = [sys.executable, "-m", "deployments", command, *arguments]
    if subprocess.run(argv, check=False, cwd=project_root()).returncode != 0:
        raise DemoFailed(f"The step '{step}' failed", hint=f"heliostat {command} says why, above")


def _steps(state: ClusterState) -> Iterator[Line]:
    with httpx.Client(base_url=state.url, headers=credentials(), timeout=TIMEOUT_S) as client:
        model = load_config(state.config).settings.chat_models[0].id
        steps: dict[str, Callable[[], Line]] = {
            "Documents": lambda: _ingest(client),
            "Question": lambda: _ask(client),
            "Chat": lambda: _chat(client, model),
            "Picture": lambda: _look(client),
            "Sweep": _sweep,
        }
        for title, step in steps.items():
            console.rule(title)
            yield step()


def _ingest(client: httpx.Client) -> Line:
    begun = time.monotonic()
    _heliostat("ingest", "documents", *DOCUMENTS)
    documents = client.get("/api/v1/documents").raise_for_status().json()["documents"]
    chunks = sum(document["chunks"] for document in documents)
    if not any(document["source"].endswith(GUIDE) for document in documents) or chunks < len(documents):
        raise DemoFailed(f"The document {GUIDE} is not in the store", hint=f"{len(documents)} documents are")
    outcome = f"{len(documents)} documents, {chunks} chunks in {time.monotonic() - begun:.0f} s"
    return Line(step="documents", outcome=outcome)


def _ask(client: httpx.Client) -> Line:
    console.print(f"? {QUESTION}", style="bold", markup=False)
    reply = client.post("/api/v1/rag/query", json={"query": QUESTION}).raise_for_status().json()
    console.print(reply["answer"], markup=False)
    said = reply["answer"].strip().rstrip(".")
    cited = [citation for citation in reply["citations"] if citation["source"].endswith(GUIDE)]
    if not said or not cited or said.lower() not in " ".join(cited[0]["text"].split()).lower():
        raise DemoFailed("The question was not answered from the PDF", hint=f"the reply was {reply}")
    best = cited[0]
    where = f"{best['source']}, page {best['page']}, score {best['score']:.2f}"
    console.print(f"[{best['index']}] {where}", style="dim", markup=False)
    return Line(step="question", outcome=f"{said}, from {where}")


def _chat(client: httpx.Client, model: str) -> Line:
    console.print(f"? {CHAT}", style="bold", markup=False)
    body = {
        "model": model,
        "messages": [{"role": "user", "content": CHAT}],
        "max_tokens": 120,
        "temperature": 0.7,
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    begun = time.monotonic()
    first, pieces, usage = 0.0, 0, None
    for chunk in _events(client, body):
        usage = chunk.get("usage") or usage
        text = "".join(choice["delta"].get("content") or "" for choice in chunk["choices"])
        if text:
            first = first or time.monotonic() - begun
            pieces += 1
            console.print(text, end="", markup=False, highlight=False)
    console.print()
    took = time.monotonic() - begun
    if usage is None or usage["completion_tokens"] < 2 or pieces < 2:
        raise DemoFailed("The chat did not arrive as a stream", hint=f"{pieces} pieces, usage {usage}")
    tokens = usage["completion_tokens"]
    outcome = f"{tokens} tokens, first after {first * 1000:.0f} ms, {tokens / took:.0f} tokens/s"
    return Line(step="chat", outcome=outcome)


def _look(client: httpx.Client) -> Line:
    """Show a picture to the model that sees; what it says can only come from the pixels."""
    listed = client.get("/v1/models").raise_for_status().json()["data"]
    model = next((card["id"] for card in listed if "vision" in card["capabilities"]), None)
    if model is None:
        raise DemoFailed("No model that is served sees pictures", hint=f"{CONFIG} has one that does")
    from pipelines.training.vision.pictures import demo_picture

    file = home() / PICTURE
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(demo_picture())
    console.print(file, markup=False, highlight=False, soft_wrap=True)
    described = _ask_about(client, model, file, LOOK)
    answer = _ask_about(client, model, file, LOOK_CLOSER)
    if len(described.split()) < MIN_WORDS or SEEN not in answer.lower():
        raise DemoFailed(f"{model} did not see the picture", hint=f"it said {described!r} and {answer!r}")
    return Line(step="picture", outcome=f"{model}: {described}")


def _ask_about(client: httpx.Client, model: str, picture: Path, question: str) -> str:
    console.print(f"? {question}", style="bold", markup=False)
    url = f"data:image/png;base64,{base64.b64encode(picture.read_bytes()).decode()}"
    parts = [{"type": "image_url", "image_url": {"url": url}}, {"type": "text", "text": question}]
    messages = [{"role": "user", "content": parts}]
    body = {"model": model, "messages": messages, "temperature": 0, "max_tokens": 60}
    reply = client.post("/v1/chat/completions", json=body).raise_for_status().json()
    said: str = reply["choices"][0]["message"]["content"].strip()
    console.print(said, markup=False)
    return said


def _events(client: httpx.Client, body: dict[str, Any]) -> Iterator[dict[str, Any]]:
    with client.stream("POST", "/v1/chat/completions", json=body) as response:
        response.raise_for_status()
        for line in response.iter_lines():
            data = line.removeprefix("data: ")
            if data == "[DONE]":
                return
            if data:
                event: dict[str, Any] = json.loads(data)
                if "error" in event:
                    raise DemoFailed("The stream broke", hint=str(event["error"]))
                yield event
    raise DemoFailed("The stream ended without [DONE]")


def _sweep() -> Line:
    from cluster.stores.runs import Run
    from pipelines.sweeps.plan import Plan
    from pipelines.sweeps.spec import load_spec

    plan = Plan(spec=load_spec(project_root() / SWEEP))
    begun = time.monotonic()
    _heliostat("sweep", "sweep", "run", str(project_root() / SWEEP), "--yes", "--fresh")
    took = time.monotonic() - begun
    run = Run(home(), plan.run_id)
    rows = run.table(["cell_id", "error_code", "completion_tokens", "text"]).to_pylist()
    worked = [row for row in rows if row["error_code"] is None and row["completion_tokens"] and row["text"]]
    if len(worked) != plan.total or plan.total < MIN_CELLS:
        raise DemoFailed(f"{len(worked)} of {plan.total} cells were run", hint=f"heliostat sweep show {run.id}")
    outcome = f"{len(rows)} cells in {took:.0f} s, {60 * len(rows) / took:.0f} cells a minute; {run.parts}"
    return Line(step="sweep", outcome=outcome)


def _report(lines: list[Line], state: ClusterState) -> None:
    table = Table(title="Heliostat: what ran", show_header=False, title_justify="left")
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for line in [*lines, Line(step="endpoint", outcome=f"{state.url}/v1, described at {state.url}/docs")]:
        table.add_row(escape(line.step), escape(line.outcome))
    console.print()
    console.print(table)
