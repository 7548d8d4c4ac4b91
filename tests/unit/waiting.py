"""Waiting for what a test is about to come true, however slow the machine is."""

import asyncio
import time
from collections.abc import Callable

PATIENCE_S = 20.0  # nobody waits so long for what comes: only for what never does


async def until(true: Callable[[], object], seconds: float = PATIENCE_S) -> None:
    """Let others run until it is true. Fails when it is not within the time."""
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, f"it did not come true within {seconds} s"
        await asyncio.sleep(0.001)
