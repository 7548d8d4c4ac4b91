"""A pull as Ollama tells it: a status object for each of its steps. It ends with who waits for it.

What has arrived stays when the client hangs up, and the next pull goes on from there.
"""

import asyncio
import json
from collections.abc import AsyncGenerator
from typing import Any

from cluster.library.manifest import PullProgress
from cluster.library.pulling import Pulling

SHA256_DIGITS = 64
SHOWN_DIGITS = 12  # of a digest, in a line for people
_ending: set[asyncio.Task[None]] = set()  # kept, or the loop may forget them


async def reports(pulling: Pulling) -> AsyncGenerator[PullProgress, None]:
    """The reports of a pull, which blocks, from a thread. Raises what the pull raises; closing it ends the pull."""
    step: asyncio.Future[PullProgress | None] | None = None
    try:
        while True:
            step = asyncio.ensure_future(asyncio.to_thread(next, pulling, None))
            report = await asyncio.shield(step)
            if report is None:
                return
            yield report
    finally:
        task = asyncio.ensure_future(_end(step, pulling))  # its thread may be in the middle of a step
        _ending.add(task)
        task.add_done_callback(_ending.discard)


def status(report: PullProgress) -> dict[str, Any]:
    """A report as Ollama's clients read it."""
    if report.status == "done":
        return {"status": "success"}
    if report.status == "verifying":
        return {"status": "verifying sha256 digest"}
    if report.status == "waiting":
        return {"status": report.note or "waiting"}
    if report.digest is None:
        return {"status": "pulling manifest"}
    kind = "sha256" if len(report.digest) == SHA256_DIGITS else "sha1"
    return {
        "status": f"pulling {report.digest[:SHOWN_DIGITS]}",
        "digest": f"{kind}:{report.digest}",
        "total": report.file_total,
        "completed": report.file_done,
    }


async def lines(pulling: Pulling) -> AsyncGenerator[bytes, None]:
    """The statuses, a line each."""
    told = reports(pulling)
    try:
        async for report in told:
            yield json.dumps(status(report)).encode() + b"\n"
    finally:
        await told.aclose()


async def whole(pulling: Pulling) -> dict[str, Any]:
    """The last status."""
    last: dict[str, Any] = {}
    told = reports(pulling)
    try:
        async for report in told:
            last = status(report)
    finally:
        await told.aclose()
    return last


async def _end(step: "asyncio.Future[PullProgress | None] | None", pulling: Pulling) -> None:
    if step is not None:
        await asyncio.wait({step})
        step.exception()  # read: who waited is gone
    await asyncio.to_thread(pulling.close)
