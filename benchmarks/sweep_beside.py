"""People who chat while a sweep runs, for `sweep_peers.py`: how long they wait, and what the sweep loses by it."""

import asyncio
import time
from dataclasses import dataclass
from random import Random

import aiohttp
import numpy as np
import sweep_cells as cells
from load import PROMPT
from peers import MODEL, Server

PER_S = 2.0  # requests a second, at moments of their own: what a few people make
TOKENS = 32
STORED_S = 4.0  # until every answer is on disk
LEAVE_S = 5.0  # at the begin of what is measured beside a sweep: its cells in flight end, and fewer follow


@dataclass(frozen=True, slots=True, kw_only=True)
class Waits:
    """Milliseconds to the first token. failed: not 200."""

    asked: int
    failed: int
    p50: float
    p95: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Beside:
    """One round. Seconds to first tokens. early: those of the first seconds, in which the sweep makes room.

    alone_pace, beside_pace: the sweep's cells a minute.
    """

    idle: list[float]
    early: list[float]
    beside: list[float]
    alone_pace: float
    beside_pace: float
    failed: int


def waits_of(firsts: list[float], failed: int = 0) -> Waits:
    """Their figures."""
    milliseconds = np.array(firsts) * 1000
    return Waits(
        asked=len(firsts) + failed,
        failed=failed,
        p50=float(np.percentile(milliseconds, 50)),
        p95=float(np.percentile(milliseconds, 95)),
    )


async def people(server: Server, seconds: float, seed: int) -> list[tuple[float, float | None]]:
    """Ask for that long, whoever still waits: when, and seconds to the first token, None where it failed."""
    rng, begun = Random(seed), time.monotonic()  # noqa: S311 - moments, not secrets
    timeout = aiohttp.ClientTimeout(total=60)
    moments: list[float] = []
    asking: list[asyncio.Task[float | None]] = []
    async with aiohttp.ClientSession(timeout=timeout, headers=server.headers) as session:
        while True:
            await asyncio.sleep(rng.expovariate(PER_S))
            moments.append(time.monotonic() - begun)
            if moments[-1] >= seconds:
                break
            asking.append(asyncio.create_task(_first(session, f"{server.url}/v1/chat/completions", len(asking))))
        return list(zip(moments, await asyncio.gather(*asking), strict=False))  # the last moment is past the end


async def _first(session: aiohttp.ClientSession, url: str, number: int) -> float | None:
    body = {
        "model": MODEL,
        "messages": [{"role": "user", "content": f"{PROMPT} ({number})"}],
        "max_tokens": TOKENS,
        "temperature": 0.8,
        "stream": True,
    }
    begun, first = time.perf_counter(), None
    try:
        async with session.post(url, json=body) as response:
            if response.status != 200:
                return None
            async for _ in response.content.iter_any():
                if first is None:
                    first = time.perf_counter() - begun
    except (aiohttp.ClientError, TimeoutError):
        return None
    return first


def beside(server: Server, *, window_s: float, repeats: int, seed: int) -> Beside:
    """One round: people alone, a sweep alone, both. repeats: of the sweep, enough that it does not end."""
    idle = [first for _, first in asyncio.run(people(server, window_s, seed))]
    driver = cells.start_sweep(server, cells.spec_of(repeats))
    try:
        _until_moving(server)
        time.sleep(LEAVE_S)
        moments = [time.time()]
        time.sleep(window_s)
        moments.append(time.time())
        both = asyncio.run(people(server, LEAVE_S + window_s, seed + 1))
        moments += [moments[-1] + LEAVE_S, time.time()]
        if driver.poll() is not None:
            raise RuntimeError("the sweep ended before its windows: give it more repeats")
        time.sleep(STORED_S)
    finally:
        driver.terminate()
        driver.wait()
    _, ended, _, _ = cells.cells_of(server)
    alone, crowded = (
        60 * np.count_nonzero((ended > begin) & (ended <= end)) / (end - begin)
        for begin, end in (moments[:2], moments[2:])
    )
    return Beside(
        idle=[first for first in idle if first is not None],
        early=[first for at, first in both if first is not None and at < LEAVE_S],
        beside=[first for at, first in both if first is not None and at >= LEAVE_S],
        alone_pace=float(alone),
        beside_pace=float(crowded),
        failed=sum(first is None for first in (*idle, *(first for _, first in both))),
    )


def _until_moving(server: Server) -> None:
    """Return when the newest run has cells."""
    from cluster.stores.runs import runs

    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        found = runs(cells.home_of(server))
        if found and found[0].running and len(found[0].files()) > 1:
            return
        time.sleep(0.2)
    raise RuntimeError("the sweep has no rows after two minutes")
