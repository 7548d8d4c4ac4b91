"""What this gateway has claimed of the fleet's models.

A claim is made with the first request for a model, serves all that come while one is open, and is let go of a
moment after the last. The requests of a loaded model ask nobody. While a model loads each of its requests asks for
itself, so that each waits its own time and the fleet knows how many wait.
"""

import asyncio
import logging
import time
import uuid
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Protocol

from cluster.errors import HeliostatError, ModelLoading, NoRoom
from cluster.tasks import Tasks
from cluster.types import Claim, LoadedModel, ModelState, Using
from deployments.clients import ChatModel, Fleet
from deployments.gateway.routing.journey import late, within

logger = logging.getLogger(__name__)

RENEWALS = 3  # of a claim, within the time after which it lapses
TOLD_S = 1.0  # between two reports of how many requests there are, where that changes
FIRST_S = 0.1  # a loaded model's claim is here by then: until then one request asks for all that came with it
MASK_S = 0.25  # the same, where another model answers for one that is not loaded
READY_S = 2.0  # how long a model is claimed after it was loaded for requests that others answered
FAILED_S = 60.0  # after a load in the background has failed, until the next try


@dataclass(slots=True, kw_only=True)
class _Held:
    """A claim that this gateway has. users: requests that use the model now."""

    name: str
    holder: str
    lease_s: float
    model: ChatModel
    users: int = 0
    keep_alive_s: float | None = None


@dataclass(slots=True, kw_only=True)
class _Asking:
    """Requests that ask for a model at the same time, under one holder's name. first: the first one has its answer.

    error: which that was, where it is everybody's.
    """

    holder: str
    waiting: int = 0
    first: asyncio.Event = field(default_factory=asyncio.Event)
    error: HeliostatError | None = None


class Connection(ChatModel, Protocol):
    """A client of a model's application."""

    async def close(self) -> None:
        """Give up what it keeps of Serve."""
        ...


class Claims:
    """connect: a client of a Serve application. linger_s: how long a claim is kept when nobody uses it.

    wait_s: how long a request waits for its model at most. keep_alive_s: how long one stays after a request that
    does not say how long. counted: the requests that the models of the configuration have here now, by their names.
    """

    def __init__(
        self,
        fleet: Fleet,
        connect: Callable[[str], Connection],
        *,
        linger_s: float,
        wait_s: float = 300.0,
        keep_alive_s: float = 300.0,
        counted: Callable[[], Mapping[str, int]] = dict,
    ) -> None:
        self._fleet = fleet
        self._connect = connect
        self._linger_s = linger_s
        self.wait_s = wait_s
        self.keep_alive_s = keep_alive_s
        self._counted = counted
        self._gateway = uuid.uuid4().hex[:12]
        self._claims = 0
        self._held: dict[str, _Held] = {}
        self._asking: dict[str, _Asking] = {}
        self._connected: dict[str, tuple[str, Connection]] = {}
        self._begun: dict[str, tuple[float, asyncio.Task[None]]] = {}  # loads in the background, and since when
        self._told: tuple[Using, ...] = ()
        self._lease_s = 15.0  # the fleet says with each claim what it is
        self._rows: dict[str, LoadedModel] = {}
        self._rows_at = -TOLD_S
        self._tasks = Tasks()
        self._renewing: asyncio.Task[None] | None = None

    def holds(self, name: str) -> bool:
        """Whether the model is loaded and claimed here."""
        return name in self._held

    @asynccontextmanager
    async def using(
        self, name: str, *, keep_alive_s: float | None = None, wait_s: float | None = None
    ) -> AsyncIterator[ChatModel]:
        """The model, loaded, for as long as this is open.

        keep_alive_s: how long it stays afterwards; None leaves it as it is. wait_s: None is as long as allowed.

        Raises what `Fleet.claim` raises, and DeadlineExceeded at the client's own deadline.
        """
        held = self._held.get(name)
        while held is None:  # again where it was let go of before this one's turn came
            await self._claim(name, self.wait_s if wait_s is None else wait_s)
            held = self._held.get(name)
        held.users += 1
        if keep_alive_s is not None:
            held.keep_alive_s = keep_alive_s
        try:
            yield held.model
        finally:
            held.users -= 1
            if not held.users:
                self._tasks.spawn(self._let_go(held, self._linger_s))

    async def begin(self, name: str) -> bool:
        """Whether the model is here; else its load begins, for others to use. Returns within a moment."""
        if name in self._held:
            return True
        now = time.monotonic()
        began, task = self._begun.get(name, (now, None))
        if task is None or (task.done() and now - began >= FAILED_S):
            began, task = now, self._tasks.spawn(self._load(name))
            self._begun[name] = began, task
        if not task.done() and now - began < MASK_S:
            await asyncio.wait({task}, timeout=MASK_S - (now - began))
        return name in self._held

    async def let_go(self, name: str) -> None:
        """Have a loaded model go as soon as nobody uses it; one that is not loaded is left as it is."""
        if name in self._held:
            async with self.using(name, keep_alive_s=0):
                return
        if any(one.id == name and one.state is ModelState.READY for one in await self._fleet.loaded()):
            await self._fleet.load(name, pin=None, keep_alive_s=0)

    async def progress(self, name: str) -> str:
        """How far a model's load is, in a few words on one line; a second old at most."""
        now = time.monotonic()
        if now - self._rows_at >= TOLD_S:
            self._rows_at = now
            try:
                self._rows = {row.id: row for row in await self._fleet.loaded()}
            except Exception as error:  # noqa: BLE001 - the manager is being replaced: nobody knows more just now
                logger.warning("the fleet does not say how far its loads are: %s", error)
        row = self._rows.get(name)
        if row is None or row.state is ModelState.READY:
            return f"loading {name}"
        told = f"loading {name}: {row.load_s:.0f} s"
        return f"{told}, {row.detail}" if row.detail else told

    async def tell(self) -> None:
        """Tell the fleet at once what is used here, where that has changed."""
        if self._uses() != self._told:
            await self._renew()

    def watch(self) -> None:
        """Go on telling the fleet what is used here; on a running loop."""
        if self._renewing is None or self._renewing.done():
            self._renewing = self._tasks.spawn(self._watch())

    async def close(self) -> None:
        """Stop whatever goes on here. What is claimed lapses, or is claimed anew."""
        await self._tasks.stop()

    async def _claim(self, name: str, wait_s: float, *, kept_s: float | None = None) -> None:
        """kept_s: how long the claim is kept where nobody who asked for it uses it; None is linger_s."""
        asking = self._asking.get(name)
        if asking is None:
            self._claims += 1
            # Its own name: a late release of an earlier claim ends none but that.
            asking = self._asking[name] = _Asking(holder=f"{self._gateway}-{self._claims}")
        asking.waiting += 1
        left_s = within(wait_s)
        try:
            async with asyncio.timeout(left_s if left_s < wait_s else None):
                await self._asked(name, asking, wait_s)
        except TimeoutError:
            raise late(left_s) from None
        finally:
            asking.waiting -= 1
            if not asking.waiting and self._asking.get(name) is asking:
                del self._asking[name]
                if (held := self._held.get(name)) is not None and not held.users:
                    self._tasks.spawn(self._let_go(held, self._linger_s if kept_s is None else kept_s))

    async def _asked(self, name: str, asking: _Asking, wait_s: float) -> None:
        """Returns when the model is held here, or was and has been let go of."""
        if asking.waiting > 1 and not asking.first.is_set():
            try:
                async with asyncio.timeout(FIRST_S):
                    await asking.first.wait()
            except TimeoutError:
                pass
        if name in self._held:
            return
        if asking.error is not None:
            raise asking.error
        try:
            claim = await self._fleet.claim(name, asking.holder, wait_s=wait_s)
        except HeliostatError as error:
            if type(error) not in (ModelLoading, NoRoom):  # those are of one request, whose time was up
                asking.error = error
            raise
        finally:
            asking.first.set()
        self._hold(name, asking.holder, claim)

    def _hold(self, name: str, holder: str, claim: Claim) -> None:
        if name in self._held:
            return
        self._lease_s = claim.lease_s
        model = self._connection(name, claim)
        self._held[name] = _Held(name=name, holder=holder, lease_s=claim.lease_s, model=model)
        self.watch()

    async def _load(self, name: str) -> None:
        """Have it loaded, for requests to come."""
        try:
            await self._claim(name, self.wait_s, kept_s=READY_S)
        except HeliostatError as error:
            logger.info("%s, which others answer for, is not loaded: %s", name, error.message)
        else:
            self._begun.pop(name, None)

    def _connection(self, name: str, claim: Claim) -> ChatModel:
        """A client of that load of the model; the one of an earlier load leads nowhere, and is closed."""
        load, model = self._connected.get(name, (None, None))
        if model is not None and load == claim.load:
            return model
        if model is not None:
            self._tasks.spawn(model.close())
        model = self._connect(claim.application)  # on this loop: in throughput mode its router runs here
        self._connected[name] = (claim.load, model)
        return model

    async def _let_go(self, held: _Held, after_s: float) -> None:
        if held.keep_alive_s != 0:
            await asyncio.sleep(after_s)
        if held.users or held.name in self._asking or self._held.get(held.name) is not held:
            return  # who uses or asks for it now lets go of it
        del self._held[held.name]
        await self._fleet.release(held.name, held.holder, keep_alive_s=held.keep_alive_s)

    def _uses(self) -> tuple[Using, ...]:
        """What is used here now. A model of the configuration is held by the gateway itself."""
        claimed = [Using(model=one.name, holder=one.holder, requests=one.users) for one in self._held.values()]
        fixed = [Using(model=name, holder=self._gateway, requests=count) for name, count in self._counted().items()]
        return (*claimed, *fixed)

    async def _renew(self) -> None:
        uses = self._told = self._uses()
        try:
            void = await self._fleet.renew(uses)
        except Exception as error:  # noqa: BLE001 - the manager is being replaced: its successor is told
            logger.warning("claims on models could not be renewed: %s", error)
            return
        for use in uses:
            held = self._held.get(use.model)
            if use.model in void and held is not None and held.holder == use.holder:
                del self._held[use.model]  # requests in flight end as they may; the next one claims anew

    async def _watch(self) -> None:
        renewed = time.monotonic()
        while True:
            due_s = self._lease_s / RENEWALS - (time.monotonic() - renewed)
            await asyncio.sleep(max(0.05, min(due_s, TOLD_S)))
            now, uses = time.monotonic(), self._uses()
            due = any(use.requests or use.holder != self._gateway for use in uses)
            if uses != self._told or (due and now - renewed >= self._lease_s / RENEWALS):
                renewed = now
                await self._renew()
