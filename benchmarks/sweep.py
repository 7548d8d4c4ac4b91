"""What a sweep's own machinery costs: cells of the scripted engine, which answers at once, in one process.

    python -m benchmarks.sweep overhead [--cells 100000]

`overhead` runs a whole sweep as its driver and one worker do, without Ray: planning, asking, timing, rows to
Parquet with every file flushed to disk, progress, compaction and scores. It prints milliseconds of wall clock and
of CPU for each cell, with and without what the engine itself takes, and the memory at each tenth, which must not
grow with the cells.
"""

import argparse
import json
import resource
import tempfile
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from cluster.engines.scripted import ScriptedEngine
from cluster.settings.engines import ScriptedSettings
from cluster.settings.pipelines import SweepSettings
from cluster.stores.runs import Run
from cluster.types import ChatCall, ModelCard, Priority
from pipelines.sweeps.cell import Ask
from pipelines.sweeps.in_process import executing_here
from pipelines.sweeps.plan import Plan
from pipelines.sweeps.session import Session, Target
from pipelines.sweeps.spec import read_spec
from pipelines.sweeps.tally import Progress

MODEL = "scripted"
WORDS = 8  # of an answer
ALONE = 2_000  # calls by which the engine alone is measured
BLOCK = 256  # cells of a file
IN_FLIGHT = 32


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    overhead = commands.add_parser("overhead", help="milliseconds a cell, and memory, without any model")
    overhead.add_argument("--cells", type=int, default=100_000)
    overhead.set_defaults(work=lambda given: measure(given.cells))
    given = parser.parse_args()
    given.work(given)


def measure(cells: int) -> None:
    """Run a sweep of so many cells and print what it took as JSON."""
    with tempfile.TemporaryDirectory(prefix="heliostat-sweep-") as home:
        found = run(cells, Path(home))
    print(json.dumps(found, indent=1))


def spec_of(cells: int) -> dict[str, Any]:
    """A sweep of about so many cells: 100 a prompt."""
    return {
        "name": "overhead",
        "models": [MODEL],
        "prompts": [f"{number} " + "word " * WORDS for number in range(max(1, cells // 100))],
        "parameters": {"temperature": {"min": 0.1, "max": 1.0, "step": 0.1}, "max_tokens": WORDS},
        "repeats": 10,
    }


def run(cells: int, home: Path) -> dict[str, Any]:
    """Drive it; the figures."""
    engine = ScriptedEngine(ScriptedSettings(), MODEL)
    plan = Plan(spec=read_spec(spec_of(cells)), revisions={MODEL: "r1"})
    card = ModelCard(id=MODEL, engine="scripted", revision="r1", created=1, capabilities=engine.capabilities)
    settings = SweepSettings(in_flight=IN_FLIGHT, block_cells=BLOCK)
    target = Target(home=home, application="none", served=[MODEL], settings=settings)
    memory: dict[int, float] = {}
    alone: list[float] = []

    async def connect() -> Ask:
        await engine.start()
        alone.append(await _alone(engine))

        async def ask(_: str, call: ChatCall) -> AsyncIterator[bytes]:
            async for event in engine.stream(call):
                yield event

        return ask

    def watch(progress: Progress) -> None:
        memory.setdefault(10 * progress.done // max(1, progress.total), _resident_mib())

    stored = Run(home, plan.run_id)
    with stored.held() as session:
        begun, cpu = time.perf_counter(), time.process_time()
        outcome = Session(plan, target, {MODEL: card}, stored, session, executing_here(connect)).drive(
            watch, retry=False
        )
        wall, cpu = time.perf_counter() - begun, time.process_time() - cpu
    engine_ms = alone[0]
    return {
        "cells": outcome.ran,
        "wall_ms_a_cell": round(1000 * wall / outcome.ran, 3),
        "cpu_ms_a_cell": round(1000 * cpu / outcome.ran, 3),
        "engine_cpu_ms_a_call": round(engine_ms, 3),
        "overhead_cpu_ms_a_cell": round(1000 * cpu / outcome.ran - engine_ms, 3),
        "memory_mib_at_each_tenth": {f"{10 * tenth} %": round(mib) for tenth, mib in sorted(memory.items())},
        "peak_memory_mib": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
        "failed": outcome.failed,
        "unscored": outcome.unscored,
    }


async def _alone(engine: ScriptedEngine) -> float:
    """Milliseconds of CPU that one call of the engine takes, asked as a cell asks."""
    body = json.dumps(
        {
            "model": MODEL,
            "messages": [{"role": "user", "content": "word " * WORDS}],
            "max_tokens": WORDS,
            "stream": True,
            "stream_options": {"include_usage": True},
        }
    ).encode()
    begun = time.process_time()
    for number in range(ALONE):
        call = ChatCall(body=body, request_id=str(number), priority=Priority.BACKGROUND)
        async for _ in engine.stream(call):
            pass
    return 1000 * (time.process_time() - begun) / ALONE


def _resident_mib() -> float:
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * resource.getpagesize() / 2**20


if __name__ == "__main__":
    main()
