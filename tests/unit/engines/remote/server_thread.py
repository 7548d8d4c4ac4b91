"""The tiny server in a thread of its own, for callers that block."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from tests.unit.engines.remote.tiny_server import Answer, TinyServer, serving


@contextmanager
def served(answer: Answer) -> Iterator[TinyServer]:
    """A server on a free port of the loopback, as long as the block."""
    loop, ready = asyncio.new_event_loop(), threading.Event()
    found: list[TinyServer] = []
    done = asyncio.Event()

    async def serve() -> None:
        async with serving(answer) as server:
            found.append(server)
            ready.set()
            await done.wait()

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),), daemon=True)
    thread.start()
    assert ready.wait(10)
    try:
        yield found[0]
    finally:
        loop.call_soon_threadsafe(done.set)
        thread.join(10)
        loop.close()
