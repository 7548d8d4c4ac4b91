"""Whether a provider answers, as far as anybody knows: from the last contact, and from asking while it does not."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from cluster.errors import EngineFailure, HeliostatError, Overloaded, Unavailable

logger = logging.getLogger(__name__)

AGAIN_S = 5.0  # between two questions to a provider that is away


class Presence:
    """Keeps what is known. learn: asks the provider for its facts, and raises where it gives none.

    A provider that answers is never asked: its calls show that it does. From a failure on it is asked every
    `again_s` seconds until it answers. One that answers calls is there, even if it never tells its facts.
    """

    def __init__(self, learn: Callable[[], Awaitable[None]], *, again_s: float = AGAIN_S) -> None:
        self._learn = learn
        self._again_s = again_s
        self._learnt = self._answers = False
        self._away: HeliostatError | None = None
        self._asking: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Ask once. It never fails: a provider that is away is asked again in the background."""
        if not await self._ask():
            self._ask_on()

    async def stop(self) -> None:
        """Ask no more."""
        task, self._asking = self._asking, None
        if task is not None:
            task.cancel()
            await asyncio.wait({task})

    def check(self) -> None:
        """Raise why the provider is away, if it is."""
        if self._away is not None:
            error = self._away
            raise type(error)(error.message, hint=error.hint)

    def answered(self) -> None:
        """A call was answered."""
        self._away, self._answers = None, True

    def lost(self, error: HeliostatError) -> None:
        """A call found nobody there."""
        self._away, self._answers = error, False
        self._ask_on()

    def _ask_on(self) -> None:
        if self._asking is None or self._asking.done():
            self._asking = asyncio.get_running_loop().create_task(self._until_it_answers())

    async def _until_it_answers(self) -> None:
        while self._away is not None or not self._learnt:
            await asyncio.sleep(self._again_s)
            await self._ask()

    async def _ask(self) -> bool:
        try:
            await self._learn()
        except (EngineFailure, Unavailable, Overloaded) as error:
            if not self._answers:
                if self._away is None or self._away.message != error.message:
                    logger.warning("%s; it is asked again every %g s", error.line(), self._again_s)
                self._away = error
            return False
        if self._away is not None:
            logger.warning("it answers again, after: %s", self._away.message)
        self._away, self._learnt = None, True
        return True
