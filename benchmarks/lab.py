"""The lab's API at 100,000 rows, as a client sees it over HTTP: how long every page and export takes.

    python benchmarks/lab.py [--prompts 40] [--configurations 250] [--repeats 10] [--rounds 20] [--json FILE]
                             [--only first again revalidated growing several exports]

Promised: every page p95 below 500 ms, the first time and again, and while a sweep adds rows each second; every
export below 30 s; and that the gateway answers others meanwhile. One gateway, a process of its own, without models.
Beside each wall time stands the gateway's time of the processor, which other programs don't lengthen.
"""

import argparse
import asyncio
import hashlib
import io
import json
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas
from lab_client import PAGE_MS, Asked, Gateway, gateway

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import lab_gateway
import lab_runs

from cluster.stores.database import open_database

EXPORT_S = 30.0
FORMATS = ("csv", "json", "xlsx", "parquet", "pdf", "html")
PHASES = ("first", "again", "revalidated", "growing", "several", "exports")
HERE = "/api/experiments/batch/{id}"
PAGES = (
    f"{HERE}",
    f"{HERE}/status",
    f"{HERE}/responses",
    f"{HERE}/responses?offset=50000&limit=200",
    f"{HERE}/responses?sort=-score_overall",
    f"{HERE}/responses?sort=score_coherence&offset=1000",
    f"{HERE}/responses?sort=-response_time",
    f"{HERE}/responses?sort=created_at",
    f"{HERE}/responses?sort=-temperature",
    f"{HERE}/responses?temperature=0.5&sort=-score_overall",
    f"{HERE}/responses?failed=true",
    HERE + '/responses?filters={"min_p":0.0,"repeat":{"le":2}}',
    HERE + '/responses?filters={"score_overall":{"ge":70}}&sort=-score_overall',
    HERE + '/responses?filters={"text":{"contains":"tower where salt"}}',
    f"{HERE}/analysis",
    f"{HERE}/optimization",
    f"{HERE}/insights",
    f"{HERE}/analysis?metric=coherence",
    *(
        f"/api/analytics/{name}?batch_id={{id}}"
        for name in (
            *("quality/trends", "quality/breakdown", "models/comparison"),
            *("parameters/optimization", "parameters/correlation", "parameters/insights"),
        )
    ),
    "/api/analytics/quality/breakdown",
    "/api/experiments/batch",
)


def head(title: str) -> None:
    """Of a table."""
    print(f"\n{title}\n{'path':<76} {'first':>7} {'p50':>7} {'p95':>7} {'cpu':>7} {'KiB':>7}", flush=True)


async def pages(home: Path, number: int, rounds: int, phases: Sequence[str]) -> list[Asked]:
    """Each page of a finished run: of a gateway that has just begun, again, and again with its ETag."""
    found: list[Asked] = []
    with gateway(home) as served:
        await served.ready()
        begun_mib = served.mib()
        async with served.others(PAGES[1].replace("{id}", str(number))) as waits:
            tags: dict[str, str] = {}
            for phase in [one for one in ("first", "again", "revalidated") if one in phases]:
                head(f"{phase}, ms")
                for path in PAGES:
                    asked = Asked(path=path, phase=phase)
                    for _ in range(1 if phase == "first" else rounds):
                        known = {"if-none-match": tags[path]} if phase == "revalidated" and path in tags else None
                        answer = await served.get(asked, path.replace("{id}", str(number)), known)
                        tags[path] = answer.headers.get("etag", "")
                    found.append(asked)
                    print(asked.row(), flush=True)
                said(phase, waits)
        print(f"memory: {begun_mib:.0f} MiB at its start, {served.mib():.0f} MiB now")
    if "revalidated" in phases:
        with gateway(home) as served:  # which has nothing, but can say that the client has it
            await served.ready()
            head("revalidated at a gateway that has just begun, ms")
            for path in PAGES:
                asked = Asked(path=path, phase="revalidated cold")
                answer = await served.get(asked, path.replace("{id}", str(number)), {"if-none-match": tags[path]})
                found.append(asked)
                print(asked.row(), answer.status_code, flush=True)
    return found


async def alone(home: Path, number: int) -> list[Asked]:
    """Each slow page as the very first question to a gateway that has just begun."""
    found = []
    head("the first of all, ms")
    for path in (PAGES[2], PAGES[4], PAGES[14], PAGES[15], PAGES[16]):
        with gateway(home) as served:
            await served.ready()
            asked = Asked(path=path, phase="very first")
            async with served.others(PAGES[1].replace("{id}", str(number))) as waits:
                await asyncio.sleep(0.3)
                await served.get(asked, path.replace("{id}", str(number)))
            found.append(asked)
            print(asked.row(), flush=True)
            said("others", waits)
    return found


async def growing(home: Path, engine: Any, stored: lab_runs.Stored, rounds: int) -> list[Asked]:
    """The pages of a run that gets rows each second, each asked for some times over."""
    found = [Asked(path=path, phase="growing") for path in PAGES]
    with gateway(home) as served:
        await served.ready()

        async def add() -> None:
            while True:
                await asyncio.sleep(1.0)
                await asyncio.to_thread(lab_runs.grow, engine, stored, 25)

        adding = asyncio.create_task(add())
        async with served.others(PAGES[1].replace("{id}", str(stored.id))) as waits:
            for _ in range(rounds):
                for asked in found:
                    await served.get(asked, asked.path.replace("{id}", str(stored.id)))
                await asyncio.sleep(0.5)
            head("while a sweep adds 25 rows a second, ms")
            for asked in found:
                print(asked.row(), flush=True)
            said("growing", waits)
        adding.cancel()
        with suppress(asyncio.CancelledError):
            await adding
        print(f"memory: {served.mib():.0f} MiB")
    return found


async def several(home: Path, numbers: Sequence[int]) -> None:
    """What stays in memory of runs that are looked at in turn."""
    with gateway(home) as served:
        await served.ready()
        sizes = [served.mib()]
        for number in numbers:
            for path in (PAGES[4], PAGES[10], PAGES[14], PAGES[16]):
                (await served.client.get(path.replace("{id}", str(number)))).raise_for_status()
            sizes.append(served.mib())
    print(f"\n{len(numbers)} runs in turn, MiB: {', '.join(f'{size:.0f}' for size in sizes)}", flush=True)


async def exports(home: Path, number: int) -> list[Asked]:
    """Every format of the whole run, its checksum checked."""
    found = []
    with gateway(home) as served:
        await served.ready()
        print(f"\nexports, s\n{'format':<10} {'wall':>7} {'cpu':>7} {'MiB':>8} {'rows':>8}", flush=True)
        for form in FORMATS:
            asked, digest, size = Asked(path=form, phase="export"), hashlib.sha256(), 0
            whole = io.BytesIO()
            async with served.others(PAGES[1].replace("{id}", str(number))) as waits:
                spent, begun = served.cpu_ms(), time.perf_counter()
                body = {"batch_id": number, "format": form}
                async with served.client.stream("POST", "/api/export/batch", json=body) as answer:
                    answer.raise_for_status()
                    async for piece in answer.aiter_bytes():
                        digest.update(piece)
                        size += len(piece)
                        if form in ("csv", "parquet"):
                            whole.write(piece)
                asked.wall.append(1000 * (time.perf_counter() - begun))
                asked.cpu.append(served.cpu_ms() - spent)
            asked.bytes = size
            if digest.hexdigest() != answer.headers["x-checksum-sha256"]:
                raise RuntimeError(f"{form}: the checksum is not the file's")
            found.append(asked)
            wall, cpu = asked.wall[0] / 1000, asked.cpu[0] / 1000
            met, rows = "" if wall < EXPORT_S else "MISSED", answer.headers.get("x-total-rows", "-")
            print(f"{form:<10} {wall:7.1f} {cpu:7.1f} {size / 2**20:8.1f} {rows:>8} {met}", flush=True)
            said("others", waits)
            if form in ("csv", "parquet"):
                await compared(served, number, form, whole)
        print(f"memory: {served.mib():.0f} MiB")
    return found


async def compared(served: Gateway, number: int, form: str, whole: io.BytesIO) -> None:
    """Raise RuntimeError unless a file says what the screen shows: pages of cells in two orders, and the mean."""
    whole.seek(0)
    rows = pandas.read_csv(whole) if form == "csv" else pandas.read_parquet(whole)
    orders = {"ordinal": rows, "-score_overall": rows.sort_values("score_overall", ascending=False, kind="stable")}
    for sort, ordered in orders.items():
        for offset in (0, len(rows) // 3, len(rows) - 200):
            query = {"sort": sort, "offset": offset, "limit": 200}
            page = (await served.client.get(f"{HERE.replace('{id}', str(number))}/responses", params=query)).json()
            part = ordered.iloc[offset : offset + 200]
            shown = [
                (one["id"], one["content"], one["quality_scores"].get("overall"), one["response_time"])
                for one in page["responses"]
            ]
            columns = (part[name] for name in ("cell_id", "text", "score_overall", "latency_ms"))
            there = [
                (cell, "" if text != text or text is None else text, none(score), none(took))
                for cell, text, score, took in zip(*columns, strict=True)
            ]
            if page["total"] != len(rows) or shown != there:
                raise RuntimeError(f"{form}: not what the screen shows, by {sort} from {offset}")
    print(f"  {form} is what the screen shows: {len(rows):,} cells, six pages in two orders", flush=True)


def none(value: float) -> float | None:
    """A missing number as JSON has it."""
    return None if value != value else float(value)


def said(name: str, waits: list[float]) -> None:
    """How long somebody else waited meanwhile."""
    if waits:
        p50, p95, most = np.percentile(waits, (50, 95, 100))
        print(
            f"  meanwhile ({name}) a status took: p50 {p50:.0f}, p95 {p95:.0f}, at most {most:.0f} ms", flush=True
        )
        waits.clear()


async def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--prompts", type=int, default=40)
    parser.add_argument("--configurations", type=int, default=250)
    parser.add_argument("--repeats", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--runs", type=int, default=10, help="of `several`")
    parser.add_argument("--only", nargs="+", default=PHASES, choices=PHASES)
    parser.add_argument("--home", type=Path, help="made there, and found there again; else a temporary one")
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    if asked.home:
        asked.home.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="heliostat-lab-") as folder:
        found = await measured(asked, asked.home or Path(folder))
    late = [one for one in found if one.phase != "export" and float(np.percentile(one.wall, 95)) >= PAGE_MS]
    slow = [one for one in found if one.phase == "export" and max(one.wall) >= 1000 * EXPORT_S]
    print(f"\npages over {PAGE_MS:.0f} ms: {len(late)}; exports over {EXPORT_S:.0f} s: {len(slow)}")
    if asked.json:
        asked.json.write_text(json.dumps([asdict(one) for one in found]))


async def measured(asked: argparse.Namespace, home: Path) -> list[Asked]:
    """All phases that were asked for, in their order."""
    engine = open_database(lab_gateway.settings_of(home).database_url)
    shape, found = (asked.prompts, asked.configurations, asked.repeats), []

    def run(name: str, left: int = 0) -> lab_runs.Stored:
        return lab_runs.stored_run(home, engine, lab_runs.spec_of(*shape, name), left=left)

    noted = home / "finished"
    number = int(noted.read_text()) if noted.exists() else run("finished").id
    noted.write_text(str(number))
    print(f"{asked.prompts} prompts x {asked.configurations} configurations x {asked.repeats} repeats")
    if "first" in asked.only:
        found += await alone(home, number)
    if {"first", "again", "revalidated"} & set(asked.only):
        found += await pages(home, number, asked.rounds, asked.only)
    if "exports" in asked.only:
        found += await exports(home, number)
    if "growing" in asked.only:
        found += await growing(home, engine, run(f"growing {time.time()}", left=5000), asked.rounds)
    if "several" in asked.only:
        await several(home, [run(f"several {place}").id for place in range(asked.runs)])
    engine.dispose()
    return found


if __name__ == "__main__":
    asyncio.run(main())
