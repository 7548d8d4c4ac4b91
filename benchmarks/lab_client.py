"""A gateway in a process of its own, asked over HTTP and timed, for `lab.py`."""

import asyncio
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import numpy as np
import psutil
from gateway import free_port

PAGE_MS = 500.0  # promised
PROBE_S = 0.1  # between two questions of somebody else
WARM_S = 4.0  # after its start a gateway has imported what statistics need


@dataclass(kw_only=True)
class Asked:
    """One path. Times in ms; cpu: of the gateway's processes."""

    path: str
    phase: str
    wall: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)
    bytes: int = 0

    def row(self) -> str:
        """A line of the table."""
        wall, cpu = np.array(self.wall), np.array(self.cpu)
        p95 = float(np.percentile(wall, 95))
        met = "" if p95 < PAGE_MS else "MISSED"
        return (
            f"{self.path[-76:]:<76} {wall[0]:7.0f} {np.median(wall):7.0f} {p95:7.0f} {np.median(cpu):7.0f} "
            f"{self.bytes / 1024:7.0f} {met}"
        )


class Gateway:
    """A gateway in a process, its client, and how long it lets somebody else wait."""

    def __init__(self, home: Path) -> None:
        port = free_port()
        command = [sys.executable, str(Path(__file__).with_name("lab_gateway.py")), str(home), str(port)]
        self.process = subprocess.Popen(command)
        self.seen = psutil.Process(self.process.pid)
        self.client = httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=120)

    async def ready(self) -> None:
        """Return when it answers."""
        while True:
            with suppress(httpx.TransportError):
                await self.client.get("/health")
                break
            await asyncio.sleep(0.2)
        await asyncio.sleep(WARM_S)

    def cpu_ms(self) -> float:
        """Of the gateway and its children."""
        total = 0.0
        for process in (self.seen, *self.seen.children(recursive=True)):
            with suppress(psutil.Error):
                spent = process.cpu_times()
                total += 1000 * (spent.user + spent.system)
        return total

    def mib(self) -> float:
        """Resident memory, its children's, too."""
        return sum(one.memory_info().rss for one in (self.seen, *self.seen.children(recursive=True))) / 2**20

    async def get(self, asked: Asked, path: str, headers: dict[str, str] | None = None) -> httpx.Response:
        """Ask once, and note how long it took."""
        spent, begun = self.cpu_ms(), time.perf_counter()
        answer = await self.client.get(path, headers=headers)
        asked.wall.append(1000 * (time.perf_counter() - begun))
        asked.cpu.append(self.cpu_ms() - spent)
        asked.bytes = len(answer.content)
        if answer.status_code not in (200, 304):
            raise RuntimeError(f"{path}: {answer.status_code} {answer.text[:200]}")
        return answer

    @asynccontextmanager
    async def others(self, path: str):  # type: ignore[no-untyped-def]
        """Somebody else who asks for a small page meanwhile; gives the list of what those took, in ms."""
        waits: list[float] = []

        async def ask() -> None:
            while True:
                begun = time.perf_counter()
                await self.client.get(path)
                waits.append(1000 * (time.perf_counter() - begun))
                await asyncio.sleep(PROBE_S)

        task = asyncio.create_task(ask())
        try:
            yield waits
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task


@contextmanager
def gateway(home: Path) -> Iterator[Gateway]:
    """A gateway without anything in its memory; stopped afterwards."""
    found = Gateway(home)
    try:
        yield found
    finally:
        found.process.terminate()
        found.process.wait()
