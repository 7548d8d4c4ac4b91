"""Replicas that follow the load, and one that is killed under it.

    python benchmarks/scaling.py [--svg docs/scaling.svg] [--json FILE] [--kills 3]

A model that sleeps until it is asked (0 → 1 → 0 replicas), one whose load rises and falls (1 → 3 → 1), and one with
two replicas, of which one is killed. Promised: no request fails while replicas come and go; of those that meet a
killed replica at most 1 % before their first token.
"""

import argparse
import asyncio
import json
import os
import signal
import statistics
import sys
import tempfile
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path
from time import perf_counter

import aiohttp
import peers
from gateway import free_port, running
from peers import Server
from scaling_picture import Panel, picture

LOOK_S = 0.5
SLEEPER = [(0, 3), (4, 8), (0, 14)]  # clients, and for how many seconds
GROWER = [(2, 8), (24, 24), (2, 46)]
BODY = {"messages": [{"role": "user", "content": "one two three"}], "stream": True}


@dataclass(slots=True, kw_only=True)
class Asked:
    """One request. Times in seconds since the run began. first, end: None where they never came."""

    begun: float
    first: float | None = None
    end: float | None = None
    failure: str = ""


@dataclass(slots=True, kw_only=True)
class Run:
    """What happened to a model. replicas: when there were how many."""

    model: str
    began: float = field(default_factory=perf_counter)
    asked: list[Asked] = field(default_factory=list)
    replicas: list[tuple[float, int]] = field(default_factory=list)
    clients: list[tuple[float, int]] = field(default_factory=list)

    def now(self) -> float:
        """Seconds since it began."""
        return perf_counter() - self.began

    @property
    def early(self) -> list[str]:
        """Requests that failed before their first token."""
        return [one.failure for one in self.asked if one.failure and one.first is None]

    @property
    def late(self) -> list[str]:
        """Requests that were cut off."""
        return [one.failure for one in self.asked if one.failure and one.first is not None]


class Watched:
    """Serve's own view of a started server. It is asked rarely: two cores do the work that is measured."""

    def __init__(self, server: Server) -> None:
        sys.path.insert(0, str(peers.ROOT))
        from cluster.runtime.dashboard import open_dashboard
        from cluster.runtime.state import read_state

        self._dashboard = open_dashboard(read_state(server.log.parent / "home"))

    def running(self, model: str) -> list[int]:
        """The processes of a model's replicas that run."""
        deployments = self._dashboard.details()["applications"]["heliostat"]["deployments"]
        return [one["pid"] for one in deployments[model]["replicas"] if one["state"] == "RUNNING"]


async def ask(session: aiohttp.ClientSession, url: str, run: Run) -> None:
    """One stream, noted."""
    one = Asked(begun=run.now())
    run.asked.append(one)
    try:
        async with session.post(f"{url}/v1/chat/completions", json=BODY | {"model": run.model}) as response:
            if response.status != 200:
                one.failure = f"status {response.status}: {(await response.text())[:200]}"
                return
            text = b""
            async for piece in response.content.iter_any():
                if one.first is None:
                    one.first = run.now()
                text += piece
        if not text.endswith(b"data: [DONE]\n\n") or b'"error"' in text:
            one.failure = "cut off"
    except (aiohttp.ClientError, TimeoutError) as error:
        one.failure = type(error).__name__
    finally:
        one.end = run.now()


async def loaded(
    server: Server, watched: Watched, run: Run, phases: list[tuple[int, float]], *, kill_at: float | None = None
) -> Run:
    """Ask a model through the phases, and look at its replicas meanwhile. kill_at: when one is killed."""
    connector, timeout = aiohttp.TCPConnector(limit=0), aiohttp.ClientTimeout(total=120)
    victim = watched.running(run.model)[0] if kill_at is not None else None
    async with aiohttp.ClientSession(connector=connector, timeout=timeout, headers=server.headers) as session:
        looking = asyncio.create_task(look(watched, run))
        if victim is not None and kill_at is not None:  # as a crash would
            asyncio.get_running_loop().call_later(kill_at, os.kill, victim, signal.SIGKILL)
        for clients, seconds in phases:
            end = run.now() + seconds
            run.clients.append((run.now(), clients))

            async def client(until: float) -> None:
                while run.now() < until:
                    await ask(session, server.url, run)

            await asyncio.gather(*(client(end) for _ in range(clients)))
            await asyncio.sleep(max(0.0, end - run.now()))
        run.clients.append((run.now(), 0))
        looking.cancel()
    return run


async def look(watched: Watched, run: Run) -> None:
    """Note the number of replicas, until cancelled."""
    while True:
        run.replicas.append((run.now(), len(await asyncio.to_thread(watched.running, run.model))))
        await asyncio.sleep(LOOK_S)


def panel(run: Run, title: str) -> Panel:
    """A run as lines: replicas, answers a second, and the median first token of each second."""
    length = run.clients[-1][0]
    seconds = range(int(length) + 1)
    answers = [sum(1 for one in run.asked if one.end is not None and s <= one.end < s + 1) for s in seconds]
    firsts: list[tuple[float, float]] = []
    for s in seconds:
        found = [
            1000 * (one.first - one.begun) for one in run.asked if one.first is not None and s <= one.first < s + 1
        ]
        if found:
            firsts.append((s + 0.5, statistics.median(found)))
    return Panel(
        title=title,
        seconds=length,
        clients=run.clients,
        replicas=run.replicas,
        answers=[(s + 0.5, float(count)) for s, count in zip(seconds, answers, strict=True)],
        first_ms=firsts,
    )


def steps(run: Run) -> str:
    """The numbers of replicas, each with when it came."""
    told: list[str] = []
    last = None
    for moment, count in run.replicas:
        if count != last:
            told.append(f"{count} at {moment:.1f} s")
            last = count
    return ", ".join(told)


def phase_p50(run: Run) -> str:
    """The median first token of each phase with clients, in milliseconds, and of its second half."""
    told = []
    for (begin, clients), (end, _) in zip(run.clients, run.clients[1:], strict=False):
        found = [1000 * (one.first - one.begun) for one in run.asked if one.first and begin <= one.begun < end]
        if clients and found:
            last = statistics.median(found[-20:])
            told.append(f"{clients} clients {statistics.median(found):.0f} (at the end {last:.0f})")
    return ", ".join(told)


def show(run: Run) -> None:
    """A line of it."""
    print(
        f"{run.model}: {len(run.asked)} requests, failed before the first token {len(run.early)}, "
        f"cut off {len(run.late)}; replicas {steps(run)}; first token p50 ms: {phase_p50(run)}",
        flush=True,
    )
    for failure in sorted(set(run.early)):
        print(f"  {failure}", flush=True)


def main() -> None:
    """Start a server, run all, stop it, draw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--svg", type=Path, help="draw the picture there")
    parser.add_argument("--json", type=Path, help="write the runs there")
    parser.add_argument("--kills", type=int, default=3)
    arguments = parser.parse_args()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="heliostat-scaling-")))
        server = peers.heliostat(free_port(), folder, config="benchmarks/scaling.yaml", model="grower")
        stack.enter_context(running(server))
        watched = Watched(server)
        runs = [asyncio.run(loaded(server, watched, Run(model="sleeper"), SLEEPER))]
        show(runs[-1])
        runs.append(asyncio.run(loaded(server, watched, Run(model="grower"), GROWER)))
        show(runs[-1])
        for _ in range(arguments.kills):
            runs.append(asyncio.run(loaded(server, watched, Run(model="pair"), [(16, 8), (0, 8)], kill_at=2.0)))
            show(runs[-1])
    killed = runs[2:]
    asked = sum(len(run.asked) for run in killed)
    early = sum(len(run.early) for run in killed)
    print(
        f"killed replicas: {early} of {asked} requests failed before the first token ({early / max(1, asked):.2%})"
    )
    if arguments.svg:
        panels = [panel(runs[0], "A model that sleeps: 0 → 1 → 0"), panel(runs[1], "A load step: 1 → 3 → 1")]
        arguments.svg.write_text(picture(panels), encoding="utf-8")
    if arguments.json:
        arguments.json.write_text(json.dumps([asdict(run) for run in runs]), encoding="utf-8")


if __name__ == "__main__":
    main()
