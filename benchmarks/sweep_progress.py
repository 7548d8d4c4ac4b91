"""How long after a cell's end a client hears of it, for `sweep_peers.py`: a batch experiment's events, followed."""

import json
import secrets
import time
from dataclasses import dataclass

import httpx
import numpy as np
import sweep_cells as cells
from peers import Server


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """Seconds from each cell's end to the first event that counts it."""

    cells: int
    events: int
    p50: float
    p95: float
    longest: float


def followed(server: Server, repeats: int) -> Heard:
    """Create and start an experiment over HTTP, and read its events to the end. Raises RuntimeError if it fails."""
    spec = cells.spec_of(repeats, suffix=f" ({secrets.token_hex(2)})")
    timeout = httpx.Timeout(60)
    with httpx.Client(base_url=server.url, headers=server.headers, timeout=timeout) as client:
        made = client.post("/api/experiments/batch", json=spec)
        made.raise_for_status()
        place = f"/api/experiments/batch/{made.json()['id']}"
        client.post(f"{place}/start").raise_for_status()
        told, last = _events(client, f"{place}/progress")
    if last != "completed":
        raise RuntimeError(f"the experiment ended as {last}")
    _, ended, _, _ = cells.cells_of(server)
    counts, moments = np.array([count for _, count in told]), np.array([at for at, _ in told])
    ended.sort()
    firsts = np.searchsorted(counts, np.arange(1, len(ended) + 1))  # the first event that counts so many
    late = moments[firsts] - ended
    return Heard(
        cells=len(ended),
        events=len(told),
        p50=float(np.percentile(late, 50)),
        p95=float(np.percentile(late, 95)),
        longest=float(late.max()),
    )


def _events(client: httpx.Client, path: str) -> tuple[list[tuple[float, int]], str]:
    """When each event came, and how many cells it counts; and the last event's name."""
    told: list[tuple[float, int]] = []
    name = ""
    with client.stream("GET", path) as response:
        response.raise_for_status()
        for line in response.iter_lines():
            if line.startswith("event: "):
                name = line.removeprefix("event: ")
            elif line.startswith("data: "):
                told.append((time.time(), int(json.loads(line.removeprefix("data: "))["completed_combinations"])))
    return told, name
