"""Chat answers in the cache: looked up before a model is asked, stored after, off the way of the request.

Each entry is one whole `chat.completion`. A streamed request is answered with its events; of a streamed answer
the whole is put together once the stream has ended. What a stream did not carry, its usage, an entry made of it
lacks: it then answers only those who do not ask for usage.
"""

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import cast

from pydantic_core import from_json

from cluster.settings.gateway import CacheSettings
from cluster.types import CallKind, ChatCall
from deployments.gateway.cache.events import events_of, finished, whole_of
from deployments.gateway.cache.http import HIT, MISS, Visit, visit
from deployments.gateway.cache.keys import chat_key, deterministic
from deployments.gateway.cache.store import CacheStore
from deployments.gateway.metrics import Metrics, NoMetrics
from deployments.gateway.wire import ChatRequest

EVENTS_FACTOR = 64  # bytes of a token's event to those of its text, roughly


class AnswerCache:
    """Chat answers of one gateway. configured: each model's settings, as text."""

    def __init__(
        self,
        settings: CacheSettings,
        store: CacheStore,
        configured: dict[str, str],
        *,
        metrics: Metrics | None = None,
    ) -> None:
        self._store = store
        self._max_bytes = settings.max_entry_bytes
        self._configured = configured
        self._metrics = metrics or NoMetrics()
        self._storing: set[asyncio.Task[None]] = set()

    def entry(self, call: ChatCall, wanted: ChatRequest, *, owner: str, revision: str) -> "Entry | None":
        """Where the answer of a request belongs; None where it may not, or need not, come out the same twice."""
        this = visit()
        if call.kind is not CallKind.CHAT or not this.store or not deterministic(wanted):
            return None
        configured = self._configured.get(wanted.model, "")
        key = chat_key(call.body, owner=owner, model=wanted.model, revision=revision, configured=configured)
        return Entry(self, key, this, wanted.model)

    async def settled(self) -> None:
        """Wait until all that is being stored is."""
        await asyncio.gather(*self._storing)

    async def find(self, key: str) -> bytes | None:
        """The stored answer."""
        (found,) = await self._store.get([key])
        return found

    def too_large(self, size: int, *, streamed: bool) -> bool:
        """Whether an answer, or a stream, of that many bytes is not stored."""
        return size > (EVENTS_FACTOR if streamed else 1) * self._max_bytes

    def keep(self, key: str, answer: bytes, *, streamed: bool) -> None:
        """Store an answer, or the one that a stream's bytes make, when nobody waits for it."""
        if self.too_large(len(answer), streamed=streamed):
            return
        task = asyncio.get_running_loop().create_task(self._keep(key, answer, streamed))
        self._storing.add(task)
        task.add_done_callback(self._storing.discard)

    def noted(self, this: Visit, model: str, outcome: str) -> None:
        """Say it in the answer's header, and count it."""
        this.outcome = outcome
        self._metrics.cached(model, outcome=outcome)

    async def _keep(self, key: str, answer: bytes, streamed: bool) -> None:
        value = await asyncio.to_thread(_value, answer, streamed)
        if value is not None:
            await self._store.put({key: value})


class Entry:
    """The place of one request's answer."""

    def __init__(self, cache: AnswerCache, key: str, this: Visit, model: str) -> None:
        self._cache = cache
        self._key = key
        self._visit = this
        self._model = model

    async def whole(self) -> bytes | None:
        """The stored answer, where it is complete."""
        found = await self._found()
        if found is not None and not from_json(found).get("usage"):
            found = None
        self._cache.noted(self._visit, self._model, MISS if found is None else HIT)
        return found

    async def events(self, *, include_usage: bool) -> bytes | None:
        """The stored answer as the events of a stream."""
        found = await self._found()
        replayed = None if found is None else events_of(from_json(found), include_usage=include_usage)
        self._cache.noted(self._visit, self._model, MISS if replayed is None else HIT)
        return replayed

    def keep(self, answer: bytes) -> None:
        """Store a whole answer."""
        self._cache.keep(self._key, answer, streamed=False)

    async def keeping(self, events: AsyncIterator[bytes]) -> AsyncGenerator[bytes, None]:
        """The same items; where they come to their end, the answer that they make is stored."""
        passed: list[bytes] = []
        size = 0
        async with aclosing(cast("AsyncGenerator[bytes, None]", events)) as items:
            async for item in items:
                size += len(item)
                if self._cache.too_large(size, streamed=True):
                    passed.clear()
                else:
                    passed.append(item)
                yield item
        self._cache.keep(self._key, b"".join(passed), streamed=True)

    async def _found(self) -> bytes | None:
        return await self._cache.find(self._key) if self._visit.lookup else None


def _value(answer: bytes, streamed: bool) -> bytes | None:
    """What is stored of an answer; None where it has not come to its end, or cannot be said exactly."""
    whole = whole_of(answer) if streamed else from_json(answer)
    if whole is None or not finished(whole):
        return None
    return json.dumps(whole, ensure_ascii=False, separators=(",", ":")).encode()
