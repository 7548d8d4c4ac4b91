"""The cells that `sweep_peers.py` has run, and a sweep of them by the command line, timed by its stored rows."""

import json
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import peers
from gateway import free_port, running
from peers import MODEL, Server

sys.path.insert(0, str(peers.ROOT))

CONFIG = "benchmarks/sweep_peers.yaml"
PROMPTS = peers.ROOT / "configs" / "sweeps" / "varied.jsonl"
TEMPERATURES = (0.4, 0.8)
TOP_PS = (0.8, 1.0)
TOKENS = 64  # of each answer, whatever the model would rather say: as many on both sides


@dataclass(frozen=True, slots=True, kw_only=True)
class Swept:
    """A sweep that is over. seconds: from the first cell's begin to the last one's end. whole_s: of the command."""

    cells: int
    failed: int
    tokens: int
    seconds: float
    whole_s: float

    @property
    def cells_per_minute(self) -> float:
        """The pace, without what a sweep takes to begin and to score its rows."""
        return 60 * self.cells / self.seconds


def prompts() -> list[str]:
    """The forty."""
    return [json.loads(line)["text"] for line in PROMPTS.read_text(encoding="utf-8").splitlines()]


def spec_of(repeats: int, *, seeds: bool = True, suffix: str = "") -> dict[str, Any]:
    """A sweep of 160 cells a repeat. suffix: to each prompt, where no stored run may have its cells."""
    return {
        "name": f"peers{suffix}",
        "models": [MODEL],
        "prompts": [text + suffix for text in prompts()],
        "parameters": {
            "temperature": list(TEMPERATURES),
            "top_p": list(TOP_PS),
            "max_tokens": TOKENS,
            "ignore_eos": True,
        },
        "repeats": repeats,
        "seeds": seeds,
        "scorers": ["completeness"],
    }


@contextmanager
def our_server() -> Iterator[Server]:
    """Heliostat with the benchmark's config, in a home of its own."""
    with (
        tempfile.TemporaryDirectory(prefix="heliostat-peers-") as folder,
        running(peers.heliostat(free_port(), Path(folder), config=CONFIG)) as server,
    ):
        _answering(server)  # it lists its models before they are loaded
        yield server


def _answering(server: Server) -> None:
    """Return when a question has been answered."""
    body = json.dumps(
        {"model": MODEL, "messages": [{"role": "user", "content": "Hello"}], "max_tokens": 8}
    ).encode()
    headers = {"content-type": "application/json", **server.headers}
    request = urllib.request.Request(f"{server.url}/v1/chat/completions", body, headers)  # noqa: S310 - loopback
    for _ in range(3):  # the first ways of the code are warm then
        with urllib.request.urlopen(request, timeout=peers.READY_S) as answer:  # noqa: S310 - our own address
            answer.read()


def home_of(server: Server) -> Path:
    """The home of a started server."""
    return server.log.parent / "home"


def start_sweep(server: Server, spec: dict[str, Any]) -> "subprocess.Popen[bytes]":
    """`heliostat sweep run`, begun anew even where its rows are stored."""
    file = server.log.parent / "spec.json"
    file.write_text(json.dumps(spec), encoding="utf-8")
    command = [sys.executable, "-m", "deployments", "sweep", "run", str(file), "--yes", "--fresh"]
    env = peers.environment() | {"HELIOSTAT_HOME": str(home_of(server))}
    with (server.log.parent / "sweep.log").open("ab") as out:
        return subprocess.Popen(command, cwd=peers.ROOT, env=env, stdout=out, stderr=out)


def sweep(server: Server, spec: dict[str, Any]) -> Swept:
    """Run one to its end. Raises RuntimeError where the command fails."""
    begun = time.perf_counter()
    code = start_sweep(server, spec).wait()
    whole = time.perf_counter() - begun
    if code:
        raise RuntimeError(f"sweep run ended with {code}:\n{(server.log.parent / 'sweep.log').read_text()[-2000:]}")
    began, ended, failed, tokens = cells_of(server)
    seconds = float(ended.max() - began.min())
    return Swept(cells=len(ended), failed=failed, tokens=tokens, seconds=seconds, whole_s=whole)


def cells_of(server: Server) -> "tuple[np.ndarray, np.ndarray, int, int]":
    """When each cell of the newest run began and ended, in Unix seconds; how many failed; tokens of all answers."""
    import pyarrow as pa
    import pyarrow.compute as pc

    from cluster.stores.runs import runs

    rows = runs(home_of(server))[0].table(["started", "latency_ms", "completion_tokens", "error_code"])
    began = (
        rows.column("started").cast(pa.timestamp("us")).to_numpy().astype("datetime64[us]").astype(np.int64) / 1e6
    )
    took = np.nan_to_num(rows.column("latency_ms").to_numpy().astype(np.float64)) / 1000
    failed = int(pc.sum(pc.is_valid(rows.column("error_code"))).as_py() or 0)
    return began, began + took, failed, int(pc.sum(rows.column("completion_tokens")).as_py() or 0)
