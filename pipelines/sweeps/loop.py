"""An event loop that never stops, in a thread of its own: Serve's handles live in the loop of their caller."""

import asyncio
import threading
from collections.abc import Coroutine
from typing import Any, TypeVar

Result = TypeVar("Result")


class LoopThread:
    """Runs coroutines for threads that have no loop. It ends with the process."""

    def __init__(self, name: str) -> None:
        self._loop = asyncio.new_event_loop()
        threading.Thread(target=self._loop.run_forever, name=name, daemon=True).start()

    def wait(self, work: Coroutine[Any, Any, Result]) -> Result:
        """The coroutine's result; the calling thread waits for it."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()
