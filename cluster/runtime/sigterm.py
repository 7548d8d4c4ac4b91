"""What a worker of our own Ray does when it is told to stop: it stores what it holds, and then it ends.

Serve calls what a replica has for its end, its `__del__` and with it the lifespans of its app, only where the
controller stops it. Ray's own answer to SIGTERM skips all that, and then waits for calls to a controller that may
never answer. So Ray's handler is set behind one that closes first (`worker_setup`, `RayNode.environment`).
"""

import _thread
import asyncio
import contextlib
import inspect
import logging
import os
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from types import FrameType
from typing import Any

logger = logging.getLogger(__name__)

CLOSING_S = 12.0  # the 10 s that a write may wait for SQLite's lock, and some for the rest; below HOLDING_GRACE_S
RAYS_S = 1.0  # for Ray's own end, of what holds nothing of ours

Handler = Callable[[int, FrameType | None], Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """A replica that holds something, and the loop that it lives in."""

    replica: Any
    loop: asyncio.AbstractEventLoop


class Stop:
    """The end of one process. leave: ends it at once. closing_s, rays_s: the limits of its two steps."""

    def __init__(
        self,
        *,
        leave: Callable[[int], Any] = os._exit,
        closing_s: float = CLOSING_S,
        rays_s: float = RAYS_S,
    ) -> None:
        self._leave = leave
        self._closing_s = closing_s
        self._rays_s = rays_s
        self._held: list[Held] = []
        self._pid: int | None = None
        self._begun = False
        self._rays = False

    def hold(self, replica: Any) -> None:
        """Await the replica's `__del__`, in the running event loop, before SIGTERM ends this process.

        Nothing happens where SIGTERM is not ours: in tests, in Serve's local testing mode, in a Ray of others.
        """
        if self._pid == os.getpid():
            self._held.append(Held(replica=replica, loop=asyncio.get_running_loop()))

    def before(self, handler: Handler) -> Handler:
        """A handler of SIGTERM that closes what is held, and leaves the rest to the other one."""
        self._pid = os.getpid()

        def told(number: int, frame: FrameType | None) -> None:
            if self._rays or os.getpid() != self._pid:  # a forked child holds nothing, and its loop is dead
                handler(number, frame)
            elif not self._begun:
                self._begun = True
                # `threading` takes locks, which whatever is interrupted here may have.
                _thread.start_new_thread(self._end, ())

        return told

    def _end(self) -> None:
        deadline = time.monotonic() + self._closing_s
        for held in self._held:
            try:
                closed = asyncio.run_coroutine_threadsafe(_close(held.replica), held.loop)
                closed.result(max(0.0, deadline - time.monotonic()))
            except BaseException:  # whatever it is, the process was told to end
                logger.exception("what this replica holds could not be closed")
        if not self._held:
            self._rays = True
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(self._rays_s)
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError, ValueError, AttributeError):
                stream.flush()
        self._leave(0)


STOP = Stop()


def take() -> None:
    """Have Ray's worker set its handler of SIGTERM behind ours. Before Ray's main loop; again it does nothing."""
    from ray._private import utils

    original = utils.set_sigterm_handler
    if hasattr(original, "__wrapped__"):
        return

    def set_sigterm_handler(handler: Handler) -> None:
        original(STOP.before(handler))  # type: ignore[no-untyped-call]

    set_sigterm_handler.__wrapped__ = original  # type: ignore[attr-defined]
    utils.set_sigterm_handler = set_sigterm_handler


async def _close(replica: Any) -> None:
    """Do what Serve does when it stops the replica."""
    done = replica.__del__()
    if inspect.isawaitable(done):
        await done
