"""Vector stores that nobody used for as long as they asked: what they hold goes, whether somebody looks or not."""

import asyncio
import logging
import random
from collections.abc import Callable
from datetime import datetime, timedelta

from cluster.errors import CollectionNotFound
from cluster.stores.collection_names import Collection
from cluster.stores.database import now
from deployments.gateway.collections.directory import Collections
from deployments.gateway.openai.vector_stores.attaching import Attaching

logger = logging.getLogger(__name__)

SWEEP_S = 600.0  # between two sweeps of a gateway
SHOWN = timedelta(days=30)  # an expired store is listed so long, empty and `expired`; then it is forgotten


class Expiry:
    """Empties expired stores. clock: this moment, in UTC. Several gateways may: doing it twice changes nothing."""

    def __init__(
        self, collections: Collections, attaching: Attaching, *, clock: Callable[[], datetime] = now
    ) -> None:
        self._collections = collections
        self._attaching = attaching
        self._clock = clock

    async def watch(self) -> None:
        """Sweep every ten minutes until this is cancelled."""
        while True:
            await asyncio.sleep(SWEEP_S * random.uniform(0.5, 1))  # noqa: S311 - so that gateways take turns
            try:
                await self.sweep()
            except Exception:  # whatever the database or the vector store has, the next sweep may go well
                logger.warning("expired vector stores could not be emptied", exc_info=True)

    async def sweep(self) -> int:
        """Empty what has expired, and forget what expired long ago; returns how many stores were changed."""
        moment = self._clock()
        expired = await self._collections.do(lambda names: names.expired(moment))
        if not expired:
            return 0
        filled = await self._collections.cards()
        counts = await self._attaching.do(lambda records: records.counts([one.id for one in expired]))
        changed = 0
        for made in expired:
            full = made.physical in filled or any(counts[made.id].by_status.values())
            if full:
                await self.empty(made)
            gone = made.expires_at is not None and made.expires_at + SHOWN <= moment
            if gone:
                await self._forget(made)
            changed += full or gone
        return changed

    async def empty(self, made: Collection) -> None:
        """Remove what a store holds; its row stays, so that its owner sees what became of it."""
        await self._collections.clear(made.physical)
        await self._attaching.do(lambda records: records.clear(made.id))

    async def _forget(self, made: Collection) -> None:
        try:
            await self._collections.do(lambda names: names.remove(made.id, owner=made.owner))
        except CollectionNotFound:  # by another gateway, or by its owner
            return
