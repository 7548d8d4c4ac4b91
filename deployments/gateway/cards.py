"""The cards of several models at once: one that does not tell its own costs the others nothing.

A model that is asked and does not answer is waited for once, a second; whoever comes while it still is silent has
the others' cards at once.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable

from cluster.errors import EngineFailure, HeliostatError, Unavailable
from cluster.types import ModelCard

logger = logging.getLogger(__name__)

PATIENCE_S = 1.0


class Cards:
    """ask: a model's card by its id; it may raise anything."""

    def __init__(self, ask: Callable[[str], Awaitable[ModelCard]], *, patience_s: float | None = None) -> None:
        self._ask = ask
        self._patience_s = PATIENCE_S if patience_s is None else patience_s
        self._asking: dict[str, asyncio.Task[ModelCard]] = {}
        self._silent: set[str] = set()  # have been waited for
        self._told: dict[str, str] = {}  # what the log was last told of each

    async def of(self, names: Iterable[str]) -> dict[str, ModelCard | HeliostatError]:
        """Each model's card, or why there is none just now."""
        tasks = {name: self._task(name) for name in names}
        fresh = [task for name, task in tasks.items() if name not in self._silent]
        if fresh:
            await asyncio.wait(fresh, timeout=self._patience_s)
        return {name: self._result(name, task) for name, task in tasks.items()}

    def _task(self, name: str) -> asyncio.Task[ModelCard]:
        task = self._asking.get(name)
        if task is not None and task.done():  # it came when nobody waited any more, and may be long out of date
            self._silent.discard(name)
            if not task.cancelled():
                task.exception()  # which counts as read
            task = None
        if task is None:
            task = self._asking[name] = asyncio.ensure_future(self._asked(name))
        return task

    async def _asked(self, name: str) -> ModelCard:
        return await self._ask(name)

    def _result(self, name: str, task: asyncio.Task[ModelCard]) -> ModelCard | HeliostatError:
        if not task.done():
            self._silent.add(name)
            return self._failed(name, Unavailable(f"{name} does not answer", retry_after_s=1.0))
        self._silent.discard(name)
        if self._asking.get(name) is task:
            del self._asking[name]
        if task.cancelled():
            return self._failed(name, Unavailable(f"{name} does not answer", retry_after_s=1.0))
        error = task.exception()
        if error is None:
            self._told.pop(name, None)
            return task.result()
        known = error if isinstance(error, HeliostatError) else EngineFailure(f"{name} failed: {error!r}"[:500])
        return self._failed(name, known)

    def _failed(self, name: str, error: HeliostatError) -> HeliostatError:
        if self._told.get(name) != error.message:
            self._told[name] = error.message
            logger.warning("the card of %s is not known: %s", name, error.line())
        return error
