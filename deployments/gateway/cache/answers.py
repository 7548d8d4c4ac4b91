"""Chat answers in the cache: looked up before a model is asked, stored after, off the way of the request.

Each entry is one whole `chat.completion`. A streamed request is answered with its events; of a streamed answer
the whole is put together once the stream has ended. What a stream did not carry, its usage, an entry made of it
lacks: it then answers only those who do not ask for usage.

A request goes from the cheap to the dear: the stored answer, then what others who ask the same just now are
getting (flights.py), then, where that is on, the answer to a question that is near enough (semantic.py), then the
model.
"""

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from enum import StrEnum
from typing import cast

from pydantic_core import from_json

from cluster.settings.gateway import CacheSettings
from cluster.types import CallKind, ChatCall, Priority
from deployments.gateway.cache.events import events_of, finished, whole_of
from deployments.gateway.cache.flights import FOLLOWERS, Flight, Flights
from deployments.gateway.cache.http import HIT, MISS, SEMANTIC, Visit, visit
from deployments.gateway.cache.keys import chat_key, deterministic
from deployments.gateway.cache.semantic import Placed, Question, SemanticCache
from deployments.gateway.cache.store import CacheStore
from deployments.gateway.metrics import Metrics, NoMetrics
from deployments.gateway.wire import ChatRequest

EVENTS_FACTOR = 64  # bytes of a token's event to those of its text, roughly
NEAREST = 4  # questions whose answers are looked at: some may be gone


class Form(StrEnum):
    """How an answer is sent."""

    WHOLE = "whole"
    STREAM = "stream"
    STREAM_WITH_USAGE = "stream_with_usage"


class AnswerCache:
    """Chat answers of one gateway. configured: each model's settings, as text. semantic: None where it is off."""

    def __init__(
        self,
        settings: CacheSettings,
        store: CacheStore,
        configured: dict[str, str],
        *,
        metrics: Metrics | None = None,
        semantic: SemanticCache | None = None,
    ) -> None:
        self._store = store
        self._max_bytes = settings.max_entry_bytes
        self._configured = configured
        self._metrics = metrics or NoMetrics()
        self._storing: dict[asyncio.Task[None], str] = {}
        self.semantic = semantic
        self.flights = Flights(max_bytes=EVENTS_FACTOR * self._max_bytes)

    def entry(self, call: ChatCall, wanted: ChatRequest, *, owner: str, revision: str) -> "Entry | None":
        """Where the answer of a request belongs; None where it may not, or need not, come out the same twice."""
        this = visit()
        if call.kind is not CallKind.CHAT or not this.store or not deterministic(wanted):
            return None
        configured = self._configured.get(wanted.model, "")
        key = chat_key(call.body, owner=owner, model=wanted.model, revision=revision, configured=configured)
        question = None
        if self.semantic is not None:
            question = Question.of(
                wanted,
                body=call.body,
                owner=owner,
                revision=revision,
                configured=configured,
                request_id=call.request_id,
            )
        return Entry(self, key, this, wanted.model, question, priority=call.priority)

    async def settled(self) -> None:
        """Wait until all that is being generated and stored is."""
        await self.flights.settled()
        await asyncio.gather(*self._storing)

    async def stored(self, key: str) -> None:
        """Wait until what is being stored under a key is."""
        tasks = [task for task, stored in self._storing.items() if stored == key]
        if tasks:
            await asyncio.wait(tasks)

    async def find(self, *keys: str) -> list[bytes | None]:
        """The stored answers."""
        return await self._store.get(list(keys))

    def too_large(self, size: int, *, streamed: bool) -> bool:
        """Whether an answer, or a stream, of that many bytes is not stored."""
        return size > (EVENTS_FACTOR if streamed else 1) * self._max_bytes

    def keep(self, key: str, answer: bytes, *, streamed: bool, then: Callable[[], Awaitable[None]]) -> None:
        """Store an answer, or the one that a stream's bytes make, when nobody waits for it, and do `then` after."""
        if self.too_large(len(answer), streamed=streamed):
            return
        task = asyncio.get_running_loop().create_task(self._keep(key, answer, streamed, then))
        self._storing[task] = key
        task.add_done_callback(lambda done: self._storing.pop(done, None))

    def noted(self, this: Visit, model: str, outcome: str) -> None:
        """Say it in the answer's header, and count it."""
        this.outcome = outcome
        self._metrics.cached(model, outcome=outcome)

    async def _keep(self, key: str, answer: bytes, streamed: bool, then: Callable[[], Awaitable[None]]) -> None:
        value = await asyncio.to_thread(_value, answer, streamed)
        if value is not None:
            await self._store.put({key: value})
            await then()


class Entry:
    """The place of one request's answer. question: None where only the same request has it."""

    def __init__(
        self,
        cache: AnswerCache,
        key: str,
        this: Visit,
        model: str,
        question: Question | None = None,
        *,
        priority: Priority = Priority.INTERACTIVE,
    ) -> None:
        self._cache = cache
        self._key = key
        self._visit = this
        self._model = model
        self._question = question
        self._placed: Placed | None = None
        self._elsewhere = False
        self._flown = f"{priority}:{key}"  # nobody waits behind a generation that has less of a hurry

    async def answer(self, generate: Callable[[], Awaitable[bytes]]) -> bytes:
        """The whole answer of the cache, else what `generate` makes, once for all who ask the same just now.

        `generate` stores it, with `keep`. Raises what it raises. Cancelling stops it where nobody else waits.
        """

        async def made() -> AsyncGenerator[bytes, None]:
            yield await generate()

        async with aclosing(self._answered(Form.WHOLE, made)) as items:
            return b"".join([item async for item in items])  # of one

    async def events(
        self, generate: Callable[[], AsyncGenerator[bytes, None]], *, include_usage: bool
    ) -> AsyncGenerator[bytes, None]:
        """The same as the events of a stream. `generate` stores them, with `keeping`. Closing it is cancelling."""
        form = Form.STREAM_WITH_USAGE if include_usage else Form.STREAM
        async with aclosing(self._answered(form, generate)) as items:
            async for item in items:
                yield item

    async def whole(self) -> bytes | None:
        """The stored answer, where it is complete."""
        return await self._stored(Form.WHOLE)

    async def replayed(self, *, include_usage: bool) -> bytes | None:
        """The stored answer as the events of a stream."""
        return await self._stored(Form.STREAM_WITH_USAGE if include_usage else Form.STREAM)

    def elsewhere(self) -> None:
        """Another model answers in this one's place: that is not for others, who may not be allowed to ask it."""
        self._elsewhere = True

    def keep(self, answer: bytes) -> None:
        """Store a whole answer."""
        self._cache.keep(self._key, answer, streamed=False, then=self._remember)

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
        self._cache.keep(self._key, b"".join(passed), streamed=True, then=self._remember)

    async def _answered(
        self, form: Form, generate: Callable[[], AsyncGenerator[bytes, None]]
    ) -> AsyncGenerator[bytes, None]:
        stored = await self._found(form)
        if stored is not None:
            self._noted(HIT)
            yield stored
            return
        flight = self._cache.flights.find(f"{form}:{self._flown}")
        if self._visit.lookup and (flight is None or flight.followers < FOLLOWERS):
            begun = False
            shared = self._led(form, generate) if flight is None else self._joined(flight, form)
            async with aclosing(shared) as items:
                async for item in items:
                    begun = True
                    yield item
            if begun or flight is None:
                return
        self._noted(MISS)
        async with aclosing(generate()) as items:
            async for item in items:
                yield item

    async def _led(
        self, form: Form, generate: Callable[[], AsyncGenerator[bytes, None]]
    ) -> AsyncGenerator[bytes, None]:
        """A new flight, and all of it."""
        flight = self._cache.flights.begin(
            f"{form}:{self._flown}",
            lambda flight: self._made(flight, form, generate),
            lambda: self._cache.stored(self._key),
        )
        async with aclosing(flight.follow()) as items:
            async for item in items:
                yield item
        if not flight.complete:
            raise flight.failure

    async def _joined(self, flight: Flight, form: Form) -> AsyncGenerator[bytes, None]:
        """All of a flight that another began; nothing, where it fails before its first item, or is not for us."""
        begun = False
        async with aclosing(flight.follow()) as items:
            async for item in items:
                if not begun:
                    if flight.private or (form is Form.WHOLE and not finished(from_json(item))):
                        return
                    self._noted(flight.kind or HIT)
                    begun = True
                yield item
        if begun and not flight.complete:
            raise flight.failure

    async def _made(
        self, flight: Flight, form: Form, generate: Callable[[], AsyncGenerator[bytes, None]]
    ) -> AsyncGenerator[bytes, None]:
        near = await self._near(form)
        if near is not None:
            flight.kind = SEMANTIC
            self._noted(SEMANTIC)
            yield near
            return
        self._noted(MISS)
        async with aclosing(generate()) as items:
            async for item in items:
                flight.private = self._elsewhere
                yield item

    async def _near(self, form: Form) -> bytes | None:
        """The answer to the nearest question that has one."""
        semantic = self._cache.semantic
        if semantic is None or self._question is None:
            return None
        self._placed = await semantic.place(self._question)
        if self._placed is None:
            return None
        keys = (await semantic.near(self._placed))[:NEAREST]
        answers = await self._cache.find(*keys)
        gone = [key for key, answer in zip(keys, answers, strict=True) if answer is None]
        if gone:
            await semantic.forget(self._placed, gone)
        for answer in answers:
            if answer is not None and (said := _in_form(answer, form)) is not None:
                return said
        return None

    async def _remember(self) -> None:
        """Its answer is stored: who asks something near may have it."""
        semantic = self._cache.semantic
        if semantic is None or self._question is None:
            return
        placed = self._placed or await semantic.place(self._question)
        if placed is not None:
            await semantic.add(placed, self._key)

    async def _stored(self, form: Form) -> bytes | None:
        found = await self._found(form)
        self._noted(MISS if found is None else HIT)
        return found

    async def _found(self, form: Form) -> bytes | None:
        if not self._visit.lookup:
            return None
        (found,) = await self._cache.find(self._key)
        return None if found is None else _in_form(found, form)

    def _noted(self, outcome: str) -> None:
        self._cache.noted(self._visit, self._model, outcome)


def _in_form(stored: bytes, form: Form) -> bytes | None:
    """A stored answer as it is sent; None where that cannot be done exactly."""
    whole = from_json(stored)
    if form is Form.WHOLE:
        return stored if whole.get("usage") else None
    return events_of(whole, include_usage=form is Form.STREAM_WITH_USAGE)


def _value(answer: bytes, streamed: bool) -> bytes | None:
    """What is stored of an answer; None where it has not come to its end, or cannot be said exactly."""
    whole = whole_of(answer) if streamed else from_json(answer)
    if whole is None or not finished(whole):
        return None
    return json.dumps(whole, ensure_ascii=False, separators=(",", ":")).encode()
