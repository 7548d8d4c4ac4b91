"""Many streams at once, many requests in a row: what the gateway keeps, and what it loses.

    python benchmarks/soak.py [--streams 1000] [--requests 50000] [--clients 64] [--json FILE]

On the scripted engine, so that the engine is not what is measured. Promised: no error but honest 429s, memory
that is bounded while they run and flat after it.
"""

import argparse
import asyncio
import json
import sys
import tempfile
from collections import Counter
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path

import aiohttp
import peers
import psutil
from gateway import free_port, running
from peers import Server

MIB = 1024**2
SETTLE_S = 3.0  # after a run, before its memory is read


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """Of one run. outcomes: how many ended how. Memory of the gateway's replicas in MiB."""

    name: str
    outcomes: dict[str, int]
    before_mib: float
    highest_mib: float
    after_mib: float


def gateways(server: Server) -> list[psutil.Process]:
    """The replicas of the gateway that this server started, by their names."""
    sys.path.insert(0, str(peers.ROOT))
    from cluster.runtime import processes
    from cluster.runtime.state import read_state

    state = read_state(server.log.parent / "home")
    return [process for process in processes.marked(state.id) if ":Gateway" in " ".join(process.cmdline())]


def memory_mib(found: list[psutil.Process]) -> float:
    """Their resident memory."""
    return sum(process.memory_info().rss for process in found) / MIB


async def measured(server: Server, name: str, requests: int, clients: int, *, stream: bool) -> Outcome:
    """Ask that often, that many at once, and watch the gateway's memory meanwhile."""
    found = gateways(server)
    before = highest = memory_mib(found)
    counted: Counter[str] = Counter()
    todo = iter(range(requests))
    connector = aiohttp.TCPConnector(limit=0)
    timeout = aiohttp.ClientTimeout(total=300)
    async with aiohttp.ClientSession(connector=connector, timeout=timeout, headers=server.headers) as session:

        async def client() -> None:
            for number in todo:
                counted[await _ask(session, server.url, number, stream=stream)] += 1

        work = asyncio.gather(*(client() for _ in range(clients)))
        while not work.done():
            await asyncio.wait({work}, timeout=1.0)
            highest = max(highest, memory_mib(found))
        await work
    await asyncio.sleep(SETTLE_S)
    return Outcome(
        name=name,
        outcomes=dict(counted),
        before_mib=before,
        highest_mib=highest,
        after_mib=memory_mib(found),
    )


async def _ask(session: aiohttp.ClientSession, url: str, number: int, *, stream: bool) -> str:
    """`whole`, `429`, or what else became of one request."""
    body = {"model": "echo", "messages": [{"role": "user", "content": f"one two three {number}"}], "stream": stream}
    try:
        async with session.post(f"{url}/v1/chat/completions", json=body) as response:
            text = await response.read()
    except (aiohttp.ClientError, TimeoutError) as error:
        return type(error).__name__
    if response.status != 200:
        honest = response.status == 429 and "retry-after" in response.headers
        return "429" if honest else f"status {response.status}"
    ended = text.endswith(b"data: [DONE]\n\n") if stream else b'"chat.completion"' in text
    return "whole" if ended else "cut off"


def show(outcome: Outcome) -> None:
    """One line of it."""
    ended: Mapping[str, int] = outcome.outcomes
    bad = {how: count for how, count in ended.items() if how not in ("whole", "429")}
    print(
        f"{outcome.name:<40} whole {ended.get('whole', 0)}, 429 {ended.get('429', 0)}, other {bad or 0}; gateway "
        f"{outcome.before_mib:.0f} MiB before, {outcome.highest_mib:.0f} at most, {outcome.after_mib:.0f} after",
        flush=True,
    )


def main() -> None:
    """Start a server, run both, stop it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--streams", type=int, default=1000)
    parser.add_argument("--requests", type=int, default=50_000)
    parser.add_argument("--clients", type=int, default=64)
    parser.add_argument("--json", type=Path, help="write the outcomes there")
    arguments = parser.parse_args()
    outcomes: list[Outcome] = []
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="heliostat-soak-")))
        server = peers.heliostat(free_port(), folder, config="benchmarks/soak.yaml", model="echo")
        stack.enter_context(running(server))

        def run(name: str, requests: int, clients: int, *, stream: bool) -> None:
            outcomes.append(asyncio.run(measured(server, name, requests, clients, stream=stream)))
            show(outcomes[-1])

        run("warm-up", 2_000, arguments.clients, stream=True)
        for number in (1, 2):  # the second says whether the first left anything behind
            run(
                f"{arguments.streams} streams at once ({number})", arguments.streams, arguments.streams, stream=True
            )
        half = arguments.requests // 2
        for number in (1, 2):
            run(f"{half} requests ({number})", half, arguments.clients, stream=number == 2)
    if arguments.json:
        arguments.json.write_text(json.dumps([asdict(outcome) for outcome in outcomes], indent=2))


if __name__ == "__main__":
    main()
