"""Heliostat against its peers: the same engine, model and machine, runs interleaved.

    python benchmarks/gateway.py [--peers vllm litellm ray] [--clients 1 16 64] [--rounds 3] [--json FILE]

Heliostat runs with authentication, limits and timing headers on. One peer at a time is up beside it, and one of
the two is idle while the other is asked. What counts is the ratio of the medians: absolute figures of a shared
machine are noise. A target is met where the ratio reaches it; the command says so and does not fail.
"""

import argparse
import asyncio
import json
import socket
import statistics
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from pathlib import Path

import peers
from load import Figures, Load, measure
from peers import MODEL, Server

REQUESTS = {1: 40, 16: 400, 64: 800}  # of a run: some seconds each
# Ratios to reach, of requests a second: by peer, then by clients. None: not promised.
THROUGHPUT = {
    "vllm serve": {1: 0.95, 16: 1.0, 64: 1.3},
    "ray serve llm": {64: 1.3},
    "litellm": {64: 3.0},
}
FIRST_TOKEN_MORE_MS = 4.0  # at one client, against `vllm serve`
FIRST_TOKEN_P95_RATIO = 0.6  # at 64 clients, against `vllm serve`


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def running(server: Server) -> Iterator[Server]:
    """A started server, ready; stopped afterwards."""
    try:
        server.wait()
        yield server
    finally:
        server.stop()


def compare(ours: Server, peer: Server, clients: list[int], rounds: int) -> list[dict[str, object]]:
    """A row for each number of clients and mode, with both servers' medians over the rounds."""
    rows: list[dict[str, object]] = []
    for count in clients:
        for stream in (False, True):
            load = Load(clients=count, requests=REQUESTS.get(count, count * 12), stream=stream)
            runs: dict[str, list[Figures]] = {server.name: [] for server in (ours, peer)}
            for number in range(rounds + 1):  # the first round warms both up and is not counted
                for server in (ours, peer) if number % 2 else (peer, ours):
                    figures = asyncio.run(measure(server.url, MODEL, load, server.headers))
                    if number:
                        runs[server.name].append(figures)
            medians = {name: _medians(figures) for name, figures in runs.items()}
            row = {"peer": peer.name, "clients": count, "stream": stream, **medians}
            rows.append(row)
            print(_line(row, medians[ours.name], medians[peer.name]), flush=True)
    return rows


def _medians(runs: list[Figures]) -> dict[str, float]:
    keys = asdict(runs[0])
    return {key: statistics.median(asdict(run)[key] for run in runs) for key in keys}


def _line(row: dict[str, object], ours: dict[str, float], peer: dict[str, float]) -> str:
    clients, name = int(str(row["clients"])), str(row["peer"])
    ratio = ours["requests_per_s"] / peer["requests_per_s"] if peer["requests_per_s"] else float("inf")
    wanted = THROUGHPUT.get(name, {}).get(clients)
    notes = [] if wanted is None else [f"{'reached' if ratio >= wanted else 'MISSED'} ≥ {wanted}"]
    if name == "vllm serve" and row["stream"] and clients == 1:
        more = ours["ttft_p50"] - peer["ttft_p50"]
        notes.append(f"first token {more:+.1f} ms: {'reached' if more <= FIRST_TOKEN_MORE_MS else 'MISSED'} ≤ + 4")
    if name == "vllm serve" and row["stream"] and clients == 64:
        late = ours["ttft_p95"] / peer["ttft_p95"]
        notes.append(f"p95 ratio {late:.2f}: {'reached' if late <= FIRST_TOKEN_P95_RATIO else 'MISSED'} ≤ 0.6")
    return (
        f"{name:<14}{clients:>3} clients {'streamed' if row['stream'] else 'whole':<8}  "
        f"requests/s {ours['requests_per_s']:7.1f} | {peer['requests_per_s']:7.1f}  ratio {ratio:.2f}   "
        f"first token ms p50 {ours['ttft_p50']:6.1f} | {peer['ttft_p50']:6.1f}  "
        f"p95 {ours['ttft_p95']:6.1f} | {peer['ttft_p95']:6.1f}   "
        f"failed {ours['failed']:.0f} | {peer['failed']:.0f}   {', '.join(notes)}"
    )


def main() -> None:
    """Start ours, then each peer in turn; measure; stop all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--peers", nargs="+", default=["vllm", "litellm", "ray"], choices=["vllm", "litellm", "ray"]
    )
    parser.add_argument("--clients", type=int, nargs="+", default=[1, 16, 64])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path, help="write the rows there")
    arguments = parser.parse_args()
    rows: list[dict[str, object]] = []
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="heliostat-bench-")))
        ours = stack.enter_context(running(peers.heliostat(free_port(), folder)))
        print("columns: heliostat | peer", flush=True)
        if {"vllm", "litellm"} & set(arguments.peers):
            with running(peers.vllm(free_port(), folder)) as vllm:
                if "vllm" in arguments.peers:
                    rows += compare(ours, vllm, arguments.clients, arguments.rounds)
                if "litellm" in arguments.peers:
                    with running(peers.litellm(free_port(), folder, vllm)) as litellm:
                        rows += compare(ours, litellm, arguments.clients, arguments.rounds)
        if "ray" in arguments.peers:
            with running(peers.ray_serve_llm(free_port(), folder)) as ray:
                rows += compare(ours, ray, arguments.clients, arguments.rounds)
    if arguments.json:
        arguments.json.write_text(json.dumps(rows, indent=2))


if __name__ == "__main__":
    main()
