"""Whether somebody may go on with what they began: looked at every few seconds, for as long as it takes."""

import asyncio
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from dataclasses import dataclass
from types import TracebackType

from cluster.errors import HeliostatError


@dataclass(frozen=True, slots=True, kw_only=True)
class Asker:
    """Who asks, as far as a guard cares. confirm: raises an error where they may not any more.

    every_s: between two looks. What was looked up is believed for a while besides (auth.believed_s).
    """

    confirm: Callable[[], Awaitable[None]]
    every_s: float


ASKER: ContextVar[Asker | None] = ContextVar("heliostat_asker", default=None)
"""Of the connection whose request runs; None where nothing can end its rights."""


class Guard:
    """`with` it around long work: cut is called once the asker may not go on, and `lost` is the error then.

    asker: for work that outlives its request; by default the one of the request that runs. Work that ends before
    the first look costs a timer that is set and taken back. A database that does not answer cuts nobody.
    """

    __slots__ = ("_asker", "_cut", "_look", "_timer", "lost")

    def __init__(self, cut: Callable[[], object], *, asker: Asker | None = None) -> None:
        self._cut = cut
        self._asker = asker or ASKER.get()
        self._timer: asyncio.TimerHandle | None = None
        self._look: asyncio.Task[None] | None = None
        self.lost: HeliostatError | None = None

    def __enter__(self) -> "Guard":
        if self._asker is not None:
            self._wait(self._asker)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if self._look is not None:
            self._look.cancel()

    def _wait(self, asker: Asker) -> None:
        self._timer = asyncio.get_running_loop().call_later(asker.every_s, self._begin, asker)

    def _begin(self, asker: Asker) -> None:
        self._look = asyncio.ensure_future(self._looked(asker))

    async def _looked(self, asker: Asker) -> None:
        try:
            await asker.confirm()
        except HeliostatError as error:
            if not error.retryable:
                self.lost = error
                self._cut()
                return
        self._wait(asker)
