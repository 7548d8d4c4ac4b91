"""What this gateway has claimed of the fleet's models.

A claim is made with the first request for a model, serves all that come while one is open, and is let go of a
moment after the last. The requests of a loaded model ask nobody.
"""

import asyncio
import logging
import time
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Protocol

from cluster.types import Claim, ModelState
from deployments.clients import ChatModel, Fleet

logger = logging.getLogger(__name__)

RENEWALS = 3  # of a claim, within the time after which it lapses


@dataclass(slots=True, kw_only=True)
class _Held:
    """A claim that this gateway has. users: requests that use the model now."""

    name: str
    holder: str
    lease_s: float
    model: ChatModel
    users: int = 0
    keep_alive_s: float | None = None


class Connection(ChatModel, Protocol):
    """A client of a model's application."""

    async def close(self) -> None:
        """Give up what it keeps of Serve."""
        ...


class Claims:
    """connect: a client of a Serve application. linger_s: how long a claim is kept when nobody uses it."""

    def __init__(self, fleet: Fleet, connect: Callable[[str], Connection], *, linger_s: float) -> None:
        self._fleet = fleet
        self._connect = connect
        self._linger_s = linger_s
        self._gateway = uuid.uuid4().hex[:12]
        self._claims = 0
        self._held: dict[str, _Held] = {}
        self._asking: dict[str, asyncio.Task[None]] = {}
        self._connected: dict[str, tuple[str, Connection]] = {}
        self._waiting: dict[str, int] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._renewing: asyncio.Task[None] | None = None

    def holds(self, name: str) -> bool:
        """Whether the model is loaded and claimed here."""
        return name in self._held

    @asynccontextmanager
    async def using(self, name: str, *, keep_alive_s: float | None = None) -> AsyncIterator[ChatModel]:
        """The model, loaded, for as long as this is open. Raises what `Fleet.claim` raises."""
        held = self._held.get(name)
        while held is None:  # again where it was let go of before this one's turn came
            await self._claim(name)
            held = self._held.get(name)
        held.users += 1
        if keep_alive_s is not None:
            held.keep_alive_s = keep_alive_s
        try:
            yield held.model
        finally:
            held.users -= 1
            if not held.users:
                self._spawn(self._let_go(held))

    async def let_go(self, name: str) -> None:
        """Have a loaded model go as soon as nobody uses it; one that is not loaded is left as it is."""
        if name in self._held:
            async with self.using(name, keep_alive_s=0):
                return
        if any(one.id == name and one.state is ModelState.READY for one in await self._fleet.loaded()):
            await self._fleet.load(name, pin=None, keep_alive_s=0)

    async def _claim(self, name: str) -> None:
        """One call for all that want the model at the same time; given up when the last of them is gone."""
        task = self._asking.get(name)
        if task is None:
            task = self._asking[name] = asyncio.ensure_future(self._ask(name))
            task.add_done_callback(lambda _: self._asking.pop(name, None))
        self._waiting[name] = self._waiting.get(name, 0) + 1
        try:
            await asyncio.shield(task)
        finally:
            self._waiting[name] -= 1
            if not self._waiting[name]:
                del self._waiting[name]
                if not task.done():
                    task.cancel()

    async def _ask(self, name: str) -> None:
        self._claims += 1
        holder = f"{self._gateway}-{self._claims}"  # its own: a late release of an earlier claim ends none but that
        claim: Claim = await self._fleet.claim(name, holder)
        model = await self._connection(name, claim)
        held = _Held(name=name, holder=holder, lease_s=claim.lease_s, model=model)
        self._held[name] = held
        if self._renewing is None or self._renewing.done():
            self._renewing = self._spawn(self._renew())
        self._spawn(self._let_go(held))  # where all who asked for it have hung up by now

    async def _connection(self, name: str, claim: Claim) -> ChatModel:
        """A client of that load of the model; the one of an earlier load leads nowhere, and is closed."""
        load, model = self._connected.get(name, (None, None))
        if model is not None and load == claim.load:
            return model
        if model is not None:
            self._spawn(model.close())
        model = self._connect(claim.application)  # on this loop: in throughput mode its router runs here
        self._connected[name] = (claim.load, model)
        return model

    async def _let_go(self, held: _Held) -> None:
        if held.keep_alive_s != 0:
            await asyncio.sleep(self._linger_s)
        if held.users or self._held.get(held.name) is not held:
            return
        del self._held[held.name]
        await self._fleet.release(held.name, held.holder, keep_alive_s=held.keep_alive_s)

    async def _renew(self) -> None:
        renewed = time.monotonic()
        while self._held:
            lease_s = min(held.lease_s for held in self._held.values())
            await asyncio.sleep(max(0.05, lease_s / RENEWALS - (time.monotonic() - renewed)))
            renewed = time.monotonic()
            claims = tuple((held.name, held.holder) for held in self._held.values())
            try:
                void = await self._fleet.renew(claims)
            except Exception as error:  # noqa: BLE001 - the manager is being replaced: its successor is told
                logger.warning("claims on models could not be renewed: %s", error)
                continue
            for name in void:  # requests in flight end as they may; the next one claims anew
                self._held.pop(name, None)

    def _spawn(self, work: "object") -> "asyncio.Task[None]":
        task: asyncio.Task[None] = asyncio.ensure_future(work)  # type: ignore[call-overload]
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task
