"""A pull for code that must not block: its reports as an async iterator."""

import asyncio
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor

from cluster.library.manifest import PullProgress
from cluster.library.pulling import Pulling


async def reports_of(pulling: Pulling) -> AsyncIterator[PullProgress]:
    """The reports of a pull, which runs in a thread of its own. Raises what it raises.

    Whoever leaves early ends the pull at its next report, so at once unless the network stands still; what has
    arrived stays. Close it with `contextlib.aclosing`.
    """
    loop = asyncio.get_running_loop()
    thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="pull")
    try:
        while (progress := await loop.run_in_executor(thread, next, pulling, None)) is not None:
            yield progress
    finally:
        thread.submit(pulling.close)  # after the report that it is at, in the one thread that may touch it
        thread.shutdown(wait=False)
