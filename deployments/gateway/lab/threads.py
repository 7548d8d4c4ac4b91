"""The threads of the lab's long work: statistics, scores and files take seconds each.

They are not the loop's own few, which every call of the database needs: two exports, two figures and two scorings
at once left a gateway on two cores without one, and all its other requests waited for them.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from typing import TypeVar

Result = TypeVar("Result")

AT_ONCE = 2  # of each kind of work; each takes a CPU
KINDS = 3  # statistics, scores, files

_threads = ThreadPoolExecutor(AT_ONCE * KINDS, thread_name_prefix="lab")  # none starts before the first work


class Turns:
    """One kind of work of one gateway, a few at once: its other requests want the CPU, too."""

    def __init__(self) -> None:
        self._turns = asyncio.Semaphore(AT_ONCE)

    async def take(self, work: Callable[[], Result]) -> Result:
        """What `work` returns, from a thread. Raises what it raises."""
        async with self._turns:
            return await asyncio.get_running_loop().run_in_executor(_threads, copy_context().run, work)
