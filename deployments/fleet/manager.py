"""Loads models when they are asked for, and unloads them when their time or their room is up.

Gateways claim a model before they send it anything and let go of it when they have nothing more for it, so that
requests themselves ask nobody: a request to a loaded model costs nothing here. What a gateway that died had claimed
lapses. The policy is in `slots`, the way into Ray Serve in `deployer`.
"""

import asyncio
import logging
import time
import uuid
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from cluster.errors import HeliostatError, LoadFailed, ModelInUse, ModelLoading, ModelTooLarge, NoRoom, Overloaded
from cluster.settings.fleet import FleetSettings
from cluster.settings.models import ModelSettings
from cluster.types import Claim, LoadedModel, ModelEvent, ModelState
from deployments.fleet.deployer import Deployer, application_of
from deployments.fleet.slots import FOREVER, Slot, Slots

logger = logging.getLogger(__name__)

TICK_S = 0.5  # between two looks at what has lapsed or expired
KEPT_EVENTS = 1000


@dataclass(slots=True, kw_only=True)
class _Load:
    """A model that is wanted or loading. waiting: those to be told, with their gateways."""

    model: ModelSettings
    began: float
    waiting: list[tuple[str, "asyncio.Future[Claim]"]] = field(default_factory=list)
    keep_alive_s: float
    task: "asyncio.Task[None] | None" = None
    blocked: str = ""  # why it has not begun


class Manager:
    """The models that come and go. find: the settings of a model by its name, raising ModelNotFound.

    device_of: what a model runs on, in a word. clock: seconds that only grow.
    """

    def __init__(
        self,
        settings: FleetSettings,
        deployer: Deployer,
        *,
        most: int,
        fixed: Mapping[str, ModelSettings],
        find: Callable[[str], ModelSettings],
        device_of: Callable[[ModelSettings], str] = lambda _: "cpu",
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings = settings
        self._deployer = deployer
        self._find = find
        self._device_of = device_of
        self._clock = clock
        self._slots = Slots(most=most, memory_gib=settings.memory_gib, at_once=settings.at_once)
        self._models: dict[str, ModelSettings] = {}
        self._wanted: dict[str, _Load] = {}  # in the order in which they were asked for
        self._loads = 0  # of all time
        self._load_of: dict[str, str] = {}
        self._load_s: dict[str, float] = {}
        self._events: deque[ModelEvent] = deque(maxlen=KEPT_EVENTS)
        self._changed = asyncio.Event()
        self._numbered = 0
        self._tasks: set[asyncio.Task[None]] = set()
        for name, model in fixed.items():
            self._models[name] = model
            self._slots.put(
                Slot(name=name, state=ModelState.READY, memory_gib=model.memory or 0.0, fixed=True, used_at=clock())
            )

    async def start(self) -> None:
        """Take over what an earlier manager has loaded, and begin to watch the clock."""
        for name in await self._deployer.loaded():
            self._models[name] = self._find(name)
            self._ready(name, keep_alive_s=self._settings.keep_alive_s, reason="found loaded")
            await self._weigh(name)
        self._spawn(self._watch())

    async def stop(self) -> None:
        """Stop watching; what is loaded stays loaded, for whoever manages it next."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def claim(self, name: str, holder: str, *, wait_s: float | None = None) -> Claim:
        """The right to use a model, which is loaded first where it is not.

        wait_s: how long to wait for that, at most as long as the settings allow.

        Raises ModelNotFound, ModelLoading when the time is up, NoRoom and ModelTooLarge, LoadFailed, and Overloaded
        where too many wait already.
        """
        slot = self._slots.get(name)
        if slot is not None and slot.state is ModelState.READY:
            return self._claimed(name, holder)
        load = self._want(name)
        if len(load.waiting) >= self._settings.max_waiting:
            raise Overloaded(f"{len(load.waiting)} requests wait for {name} to load", retry_after_s=5.0)
        future: asyncio.Future[Claim] = asyncio.get_running_loop().create_future()
        load.waiting.append((holder, future))
        self._pump()
        longest = min(wait_s or self._settings.wait_s, self._settings.wait_s)
        try:
            async with asyncio.timeout(longest):
                return await future
        except TimeoutError:
            raise self._too_late(name, load) from None
        finally:
            load.waiting = [(who, one) for who, one in load.waiting if one is not future]

    def renew(self, claims: tuple[tuple[str, str], ...]) -> tuple[str, ...]:
        """A gateway lives and uses these models under these holders' names. Returns the models it may not use."""
        void, now = [], self._clock()
        for name, holder in claims:
            slot = self._slots.get(name)
            if slot is None or slot.state is not ModelState.READY:
                void.append(name)
            else:
                self._slots.claim(name, holder, now=now, until=now + self._settings.lease_s)
        return tuple(void)

    def release(self, name: str, holder: str, *, keep_alive_s: float | None = None) -> None:
        """Nothing more of a gateway for a model. keep_alive_s: how long it stays; 0 is not at all, -1 for ever."""
        self._slots.release(name, holder, now=self._clock(), keep_alive_s=keep_alive_s)
        self._tidy()

    async def load(self, name: str, *, pin: bool | None = None, keep_alive_s: float | None = None) -> LoadedModel:
        """Load a model and keep it. Returns when it is loaded; raises what `claim` raises."""
        holder = f"load-{self._loads}-{name}"
        await self.claim(name, holder, wait_s=self._settings.load_timeout_s)
        slot = self._slots.get(name)
        assert slot is not None
        if pin is not None and not slot.fixed and pin != slot.pinned:
            slot.pinned = pin
            self._tell(name, "pinned" if pin else "unpinned")
        self.release(name, holder, keep_alive_s=keep_alive_s)
        return self._shown(slot)

    async def unload(self, name: str, *, force: bool = False) -> None:
        """Unload a model. Returns when its memory is free. A model that is not loaded is left as it is.

        Raises ModelInUse for one of the configuration, and for one that is in use unless forced.
        """
        slot = self._slots.get(name)
        if slot is None:
            return
        if slot.fixed:
            raise ModelInUse(
                f"{name} is part of the configuration", hint="take it out of `models`, or say load: on_demand"
            )
        if slot.state is ModelState.LOADING:
            raise ModelInUse(f"{name} is loading", hint="wait until it is loaded")
        if slot.holders and not force:
            raise ModelInUse(f"{name} is in use", hint="wait until its requests have ended, or force it")
        if slot.state is ModelState.READY:
            self._leave(name, "asked for")
        while name in self._slots:
            await self.changed(self._numbered, 1.0)

    def loaded(self) -> tuple[LoadedModel, ...]:
        """What `ps` shows: the longest unused first, then what waits for its room."""
        shown = [self._shown(slot) for slot in self._slots.all()]
        waiting = [self._shown_waiting(load) for name, load in self._wanted.items() if name not in self._slots]
        return (*shown, *waiting)

    def events(self, after: int) -> tuple[ModelEvent, ...]:
        """What has happened since the event of that number."""
        return tuple(event for event in self._events if event.number > after)

    async def changed(self, after: int, timeout_s: float) -> tuple[ModelEvent, ...]:
        """The same, waiting for something to happen; empty when the time is up."""
        try:
            async with asyncio.timeout(timeout_s):
                while self._numbered <= after:
                    await self._changed.wait()
        except TimeoutError:
            pass
        return self.events(after)

    def _want(self, name: str) -> _Load:
        load = self._wanted.get(name)
        if load is None:
            model = self._find(name)
            load = _Load(model=model, began=self._clock(), keep_alive_s=self._settings.keep_alive_s)
            self._wanted[name] = load
            self._tell(name, "wanted")
        return load

    def _pump(self) -> None:
        """Begin the loads that there is room for, in the order in which they were asked for."""
        for name, load in list(self._wanted.items()):
            if load.task is not None or name in self._slots:
                continue
            room = self._slots.room(load.model.memory or 0.0)
            if room.never is not None:
                self._fail(name, ModelTooLarge(f"{name} can't be loaded: {room.never}", param="model"))
                continue
            if room.wait is not None:
                load.blocked = room.wait
                return  # those behind it wait, too: or a small model would pass a large one for ever
            for victim in room.first:
                self._leave(victim, f"its memory is needed for {name}")
            self._slots.put(Slot(name=name, state=ModelState.LOADING, memory_gib=load.model.memory or 0.0))
            load.task = self._spawn(self._load(name, load, room.first))

    async def _load(self, name: str, load: _Load, first: tuple[str, ...]) -> None:
        began = self._clock()
        try:
            async with asyncio.timeout(self._settings.load_timeout_s):
                while any(victim in self._slots for victim in first):
                    await self.changed(self._numbered, 1.0)
                self._tell(name, "loading", f"{len(load.waiting)} requests wait for it")
                await self._deployer.load(load.model)
        except TimeoutError:
            self._fail(name, LoadFailed(f"{name} did not load within {self._settings.load_timeout_s:.0f} s"))
        except HeliostatError as error:
            self._fail(name, error)
        except Exception as error:
            logger.exception("loading %s failed", name)
            self._fail(name, LoadFailed(f"{name} could not be loaded: {error}"))
        else:
            self._models[name] = load.model
            self._load_s[name] = self._clock() - began
            self._wanted.pop(name, None)
            self._ready(name, keep_alive_s=load.keep_alive_s, reason=f"in {self._load_s[name]:.1f} s")
            for holder, future in load.waiting:  # before anything may be unloaded: they use it
                if not future.done():
                    future.set_result(self._claimed(name, holder))
            await self._weigh(name)
        self._tidy()

    def _ready(self, name: str, *, keep_alive_s: float, reason: str) -> None:
        self._loads += 1
        self._load_of[name] = uuid.uuid4().hex  # no other manager's either
        memory = self._models[name].memory or 0.0
        self._slots.put(
            Slot(
                name=name,
                state=ModelState.READY,
                memory_gib=memory,
                keep_alive_s=keep_alive_s,
                used_at=self._clock(),
            )
        )
        self._tell(name, "ready", reason)

    async def _weigh(self, name: str) -> None:
        """What a loaded model really takes replaces what it was thought to take."""
        try:
            measured = (await self._deployer.health(name)).figures.get("memory_gib")
        except Exception as error:  # noqa: BLE001 - if something is wrong with it, its requests will say so
            logger.warning("%s does not say how much memory it takes: %s", name, error)
            return
        slot = self._slots.get(name)
        if slot is not None and measured:
            slot.memory_gib = measured

    def _fail(self, name: str, error: HeliostatError) -> None:
        load = self._wanted.pop(name, None)
        self._slots.drop(name)
        self._tell(name, "failed", error.message)
        for _, future in load.waiting if load else ():
            if not future.done():
                future.set_exception(error)
                future.exception()  # read: who waited may be gone

    def _leave(self, name: str, reason: str) -> None:
        slot = self._slots.get(name)
        assert slot is not None
        slot.state = ModelState.UNLOADING
        self._tell(name, "unloading", reason)
        self._spawn(self._unload(name))

    async def _unload(self, name: str) -> None:
        try:
            await self._deployer.unload(name)
        except Exception:
            logger.exception("unloading %s failed", name)
        self._slots.drop(name)
        self._load_of.pop(name, None)
        self._tell(name, "unloaded")
        self._tidy()

    def _tidy(self) -> None:
        """Unload what is too much or out of time, then load what there is room for."""
        for name in self._slots.surplus():
            self._leave(name, "more models are loaded than may be, and it was used least recently")
        for name in self._slots.expired(self._clock()):
            self._leave(name, "nobody has asked for it for as long as it was to be kept")
        self._pump()

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(TICK_S)
            for name in self._slots.lapse(self._clock()):
                self._tell(name, "lapsed", "a gateway that used it has been silent")
            for name in [name for name, load in self._wanted.items() if not load.waiting and load.task is None]:
                del self._wanted[name]  # whoever asked for it is gone
            self._tidy()

    def _claimed(self, name: str, holder: str) -> Claim:
        now = self._clock()
        self._slots.claim(name, holder, now=now, until=now + self._settings.lease_s)
        return Claim(
            application=application_of(name), load=self._load_of.get(name, ""), lease_s=self._settings.lease_s
        )

    def _too_late(self, name: str, load: _Load) -> HeliostatError:
        took = self._clock() - load.began
        if load.task is None:
            return NoRoom(f"{name} is not loaded: {load.blocked or 'others are before it'}", retry_after_s=5.0)
        return ModelLoading(f"{name} has been loading for {took:.0f} s", hint="ask again", retry_after_s=5.0)

    def _shown(self, slot: Slot) -> LoadedModel:
        load = self._wanted.get(slot.name)
        model = load.model if load is not None else self._models[slot.name]
        took = self._clock() - load.began if load is not None else self._load_s.get(slot.name, 0.0)
        offset = time.time() - self._clock()
        return LoadedModel(
            id=slot.name,
            state=slot.state,
            engine=model.engine.kind,
            device=self._device_of(model),
            replicas=model.replicas.max,
            memory_gib=slot.memory_gib,
            in_use=len(slot.holders),
            waiting=len(load.waiting) if load is not None else 0,
            pinned=slot.pinned,
            fixed=slot.fixed,
            used_at=slot.used_at + offset,
            until=None if slot.until is None else slot.until + offset,
            load_s=took,
        )

    def _shown_waiting(self, load: _Load) -> LoadedModel:
        waiting = Slot(name=load.model.id, state=ModelState.LOADING, keep_alive_s=FOREVER, used_at=load.began)
        return self._shown(waiting)

    def _tell(self, name: str, what: str, reason: str = "") -> None:
        self._numbered += 1
        event = ModelEvent(number=self._numbered, at=time.time(), model=name, what=what, reason=reason)
        self._events.append(event)
        logger.info("%s %s%s", name, what, f": {reason}" if reason else "")
        self._changed.set()
        self._changed = asyncio.Event()

    def _spawn(self, work: "asyncio.Future[None] | object") -> "asyncio.Task[None]":
        task: asyncio.Task[None] = asyncio.ensure_future(work)  # type: ignore[arg-type]
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task
