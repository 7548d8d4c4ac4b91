"""The provider that answers where a request names no model, as this gateway knows it.

The choice is in the database, so that all gateways have it and a restart keeps it. Each looks there again after a
second, when somebody asks; without the database, what was last known holds.
"""

import asyncio
import logging
from collections.abc import Callable
from time import monotonic

from sqlalchemy import Engine

from cluster.errors import DatabaseAway, HeliostatError
from cluster.stores.provider_choices import ProviderChoice, ProviderChoices

logger = logging.getLogger(__name__)

BELIEVED_S = 1.0


class Chosen:
    """engine: of the database; None where there is none, and so no choice. clock: seconds that only grow."""

    def __init__(
        self, engine: Engine | None, *, believed_s: float = BELIEVED_S, clock: Callable[[], float] = monotonic
    ) -> None:
        self._store = None if engine is None else ProviderChoices(engine)
        self._believed_s = believed_s
        self._clock = clock
        self._choice: ProviderChoice | None = None
        self._read_at: float | None = None
        self._reading = asyncio.Lock()

    async def now(self) -> ProviderChoice | None:
        """The choice; None leaves it to `auto`, among the models of all."""
        if self._store is not None and not self._fresh():
            async with self._reading:
                if not self._fresh():  # somebody else may have read it meanwhile
                    await self._read(self._store)
        return self._choice

    async def switch(self, choice: ProviderChoice | None) -> None:
        """Choose for everybody; None takes the choice back. Raises DatabaseAway, and then nothing has changed."""
        if self._store is None:
            raise DatabaseAway("This gateway has no database to keep the choice in")
        async with self._reading:
            await asyncio.to_thread(self._store.put, choice)
            self._choice, self._read_at = choice, self._clock()

    def _fresh(self) -> bool:
        return self._read_at is not None and self._clock() - self._read_at < self._believed_s

    async def _read(self, store: ProviderChoices) -> None:
        try:
            self._choice = await asyncio.to_thread(store.get)
        except HeliostatError as error:  # a request that names its model needs no database
            logger.warning("which provider answers is not known anew: %s", error.message)
        self._read_at = self._clock()
