"""Stored responses for async callers: every call of the database runs in a thread, writes outlive their request."""

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine, Mapping
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, TypeVar

from sqlalchemy import Engine

from cluster.errors import ResponseNotFound
from cluster.settings.tree import Settings
from cluster.stores.database import now
from cluster.stores.responses import Ending, Responses, StoredResponse
from deployments.gateway.openai.responses.items import Stored, response_of
from deployments.gateway.openai.responses.writer import Writer

Result = TypeVar("Result")
logger = logging.getLogger(__name__)

GRACE_S = 60.0  # past the generation's timeout, for its end to be written; then the server that ran it is gone
PRUNE_EVERY_S = 3600.0


class Keeper:
    """The responses of a database. timeout_s: of a generation."""

    def __init__(self, engine: Engine, settings: Settings, timeout_s: float) -> None:
        self._responses = Responses(engine)
        self._kept_for = timedelta(days=settings.responses.keep_days)
        self._longest = settings.limits.max_messages
        self._patience = timedelta(seconds=timeout_s + GRACE_S)
        self._writer = Writer(lambda changes: self._do(lambda stored: stored.write(changes)))
        self._writes: set[asyncio.Task[None]] = set()
        self._pruned_at: float | None = None

    async def add(self, response: StoredResponse) -> None:
        """Store a new one; now and then, forget those that are too old."""
        await self._writer.write(response)
        if self._pruned_at is None or time.monotonic() - self._pruned_at > PRUNE_EVERY_S:
            self._pruned_at = time.monotonic()
            self._write(self._prune())

    def begin(self, response: StoredResponse) -> "Kept":
        """Store one in progress, without waiting until it is."""
        return Kept(self, response.id, self._write(self.add(response)))

    async def end(self, response_id: str, body: Mapping[str, Any]) -> bool:
        """Note how one in progress ended; False when it had ended, or is gone."""
        return await self._writer.write(Ending(id=response_id, body=body))

    async def get(self, owner: str, response_id: str) -> StoredResponse:
        """One of an owner's. Raises ResponseNotFound."""
        read = partial(Responses.get, owner=owner, response_id=response_id, moment=now(), patience=self._patience)
        return await self._do(read)

    async def in_progress(self, response_id: str) -> bool:
        """Whether one is still there and not ended."""
        return await self._do(lambda stored: stored.in_progress(response_id))

    async def conversation(self, owner: str, response_id: str) -> tuple[StoredResponse, ...]:
        """A response and those before it, the oldest first. Raises ResponseNotFound."""
        return await self._do(lambda stored: stored.conversation(owner, response_id, limit=self._longest + 1))

    async def item(self, owner: str, item_id: str) -> Stored:
        """One of the items of an owner's responses. Raises ResponseNotFound."""
        response_id = response_of(item_id)
        if response_id is not None:
            found = await self.get(owner, response_id)
            for item in (*found.input_items, *found.body["output"]):
                if item["id"] == item_id:
                    return dict(item)
        raise ResponseNotFound(f"No stored item with the id {item_id[:64]!r}", hint="send the item itself")

    async def remove(self, owner: str, response_id: str) -> None:
        """Forget one of an owner's. Raises ResponseNotFound."""
        await self._do(lambda stored: stored.remove(owner, response_id))

    async def written(self) -> None:
        """Wait for the writes that nobody waits for."""
        while self._writes:
            await asyncio.wait(self._writes)

    def _write(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[None]:
        """Do it, even if whoever wanted it goes away."""
        task = asyncio.create_task(work)
        self._writes.add(task)
        task.add_done_callback(self._done)
        return task

    def _done(self, task: asyncio.Task[None]) -> None:
        self._writes.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            logger.error("a response could not be stored", exc_info=error)

    async def _prune(self) -> None:
        before = datetime.now(UTC) - self._kept_for
        gone = await self._do(lambda stored: stored.prune(before))
        if gone:
            logger.info("forgot %d responses older than %s", gone, self._kept_for)

    async def _do(self, work: Callable[[Responses], Result]) -> Result:
        return await asyncio.to_thread(work, self._responses)


class Kept:
    """A response in progress that is stored, or about to be."""

    def __init__(self, keeper: Keeper, response_id: str, adding: asyncio.Task[None]) -> None:
        self._keeper = keeper
        self._id = response_id
        self._adding = adding

    async def end(self, body: Mapping[str, Any]) -> None:
        """Note how it ended, and wait until that is stored; a cancelled caller changes nothing of it."""
        await asyncio.shield(self.end_later(body))

    def end_later(self, body: Mapping[str, Any]) -> asyncio.Task[None]:
        """Note how it ended, without waiting."""
        return self._keeper._write(self._end(body))

    async def _end(self, body: Mapping[str, Any]) -> None:
        await self._adding
        await self._keeper.end(self._id, body)
