"""What this gateway counts of each model: summed in memory, added to the database every few seconds.

A database that is away loses nothing and stops no request: the sums grow, and are added when it is back. They
take a few KiB a model and day, whatever the traffic; `MOST_SUMS` bounds them all the same. A gateway that stops
adds the rest before it ends; what one that is killed has counted in the last `FLUSH_S` is lost. Nothing counts
twice.
"""

import asyncio
import logging
import time
import uuid
from collections.abc import Awaitable, Callable, Sequence
from contextvars import Context
from datetime import UTC, datetime

from sqlalchemy import Engine

from cluster.errors import HeliostatError
from cluster.stores.log_buckets import bucket_of
from cluster.stores.model_records import DAY_S, Addition, LastLoad, ModelRecords, Sums
from cluster.types import LoadedModel, ModelState
from deployments.clients import Backends
from deployments.gateway.model_records.visit import Visited
from deployments.gateway.models.on_demand import Available

logger = logging.getLogger(__name__)

FLUSH_S = 2.0
AWAY_S = 20.0  # after a failure: a database that comes back is not met by all gateways at once
MOST_SUMS = 4096  # models and days whose sums wait for the database
KEEP_DAYS = 90  # a quarter: what is older says little of a model, and would cost rows for ever
PRUNE_EVERY = 1800  # additions: about once an hour
ASK_FLEET_S = 2.0  # how long the fleet may take to say what is loaded; else the next addition asks again


class Book:
    """The records of one gateway. store: those of all; None counts nothing. name_of: a model's own name.

    loaded: what the fleet has loaded, None where no model comes or goes. clock: Unix seconds.
    """

    def __init__(
        self,
        store: ModelRecords | None = None,
        *,
        name_of: Callable[[str], str | None] = lambda name: name,
        loaded: Callable[[], Awaitable[Sequence[LoadedModel]]] | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.store = store
        self._name_of = name_of
        self._loaded = loaded
        self._clock = clock
        self._writer = uuid.uuid4().hex
        self._number = 0
        self._sums: dict[tuple[str, int], Sums] = {}
        self._addition: Addition | None = None  # on its way; the same is sent again until it is there
        self._loads: dict[str, LastLoad] = {}  # as last told
        self._flushing = asyncio.Lock()
        self._task: asyncio.Task[None] | None = None
        self._full = False

    def name_of(self, model: str) -> str:
        """A model's own name, which records have."""
        return self._name_of(model) or model

    def add(self, visited: Visited) -> None:
        """A visit is over: some microseconds."""
        if self.store is None:
            return
        moment = self._clock()
        key = (visited.model, int(moment) // DAY_S)
        sums = self._sums.get(key)
        if sums is None:
            if len(self._sums) >= MOST_SUMS:
                self._drop()
                return
            sums = self._sums[key] = Sums()
        _count(sums, visited)
        sums.used_at = moment
        if self._task is None or self._task.done():
            self._wake()

    async def flush(self, *, ask_fleet: bool = False) -> None:
        """Add what is counted to the database. Raises what that raises; what it did not take is kept."""
        if self.store is None:
            return
        async with self._flushing:
            for _ in range(2):  # the one that could not be added before, then what has come since
                if self._addition is None and not self._sums:
                    return
                if self._addition is None:
                    # Before the sums are taken: who is cancelled while the fleet is asked loses none.
                    loads = await self._news({name for name, _ in self._sums}) if ask_fleet else {}
                    sums, self._sums, self._full = self._sums, {}, False
                    self._number += 1
                    self._addition = Addition(writer=self._writer, number=self._number, sums=sums, loads=loads)
                await asyncio.to_thread(self.store.add, self._addition)
                self._loads |= self._addition.loads
                self._addition = None
                if self._number % PRUNE_EVERY == 1:
                    await asyncio.to_thread(self.store.prune, keep_days=KEEP_DAYS)

    async def close(self) -> None:
        """Add what is counted by now, and ask nobody else meanwhile. Raises what the database raises."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task}, timeout=ASK_FLEET_S)
        await self.flush()

    def _wake(self) -> None:
        """See to it that the sums are added soon. A gateway that nobody asks has no task."""
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:  # outside of an event loop: the next visit within one brings this along
            return
        self._task = loop.create_task(self._write(), context=Context())  # it outlives the request that began it

    async def _write(self) -> None:
        while self._addition is not None or self._sums:
            await asyncio.sleep(FLUSH_S)
            try:
                await self.flush(ask_fleet=True)
            except Exception:  # requests go on, whatever the database has
                logger.warning("records of models are not stored; they wait in memory", exc_info=True)
                await asyncio.sleep(AWAY_S)

    async def _news(self, names: set[str]) -> dict[str, LastLoad]:
        """What is new of the loads of those models."""
        if self._loaded is None:
            return {}
        try:
            async with asyncio.timeout(ASK_FLEET_S):
                rows = await self._loaded()
        except (HeliostatError, TimeoutError) as error:
            logger.info("the fleet does not say what is loaded: %s", error)
            return {}
        found = {row.id: _load(row) for row in rows if row.id in names and row.state is ModelState.READY}
        return {name: load for name, load in found.items() if load != self._loads.get(name)}

    def _drop(self) -> None:
        if not self._full:
            logger.warning("%d sums wait for the database; further models are not counted", MOST_SUMS)
        self._full = True


def _count(sums: Sums, visited: Visited) -> None:
    sums.requests += 1
    sums.outcomes[visited.outcome] = sums.outcomes.get(visited.outcome, 0) + 1
    if visited.error is not None:
        sums.errors[visited.error] = sums.errors.get(visited.error, 0) + 1
    if visited.response_s is not None:
        sums.response_s += visited.response_s
        bucket = bucket_of(visited.response_s)
        sums.response[bucket] = sums.response.get(bucket, 0) + 1
    if visited.first_token_s is not None:
        sums.first_token_s += visited.first_token_s
        bucket = bucket_of(visited.first_token_s)
        sums.first_token[bucket] = sums.first_token.get(bucket, 0) + 1
    if visited.usage is not None:
        sums.prompt_tokens += visited.usage.prompt_tokens
        sums.completion_tokens += visited.usage.completion_tokens
        sums.estimated += visited.estimated


def _load(row: LoadedModel) -> LastLoad:
    """load_s, memory_gib: 0 is what nobody measured."""
    loaded_at = None if row.loaded_at is None else datetime.fromtimestamp(row.loaded_at, UTC)
    return LastLoad(load_s=row.load_s or None, loaded_at=loaded_at, memory_gib=row.memory_gib or None)


def open_book(backends: Backends, engine: Engine) -> Book:
    """The book of a gateway. engine: of the database that its records go to."""
    models, fleet = backends.models, backends.fleet
    return Book(
        ModelRecords(engine),
        name_of=models.name_of if isinstance(models, Available) else lambda name: name,
        loaded=None if fleet is None else fleet.loaded,
    )
