"""Loads models when they are asked for, and unloads them when their time or their room is up.

Gateways claim a model before they send it anything and let go of it when they have nothing more for it, so that
requests themselves ask nobody: a request to a loaded model costs nothing here. What a gateway that died had claimed
lapses. The policy is in `slots`, who waits in `loading`, what is told in `history`, the way into Ray Serve in
`deployer`.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Mapping

from cluster.errors import HeliostatError, LoadFailed, ModelInUse, ModelTooLarge, OutOfMemory, Overloaded
from cluster.settings.fleet import FleetSettings
from cluster.settings.models import ModelSettings
from cluster.tasks import Tasks
from cluster.types import Claim, LoadedModel, ModelEvent, ModelState, Using
from deployments.fleet.deployer import Deployer, application_of
from deployments.fleet.history import History
from deployments.fleet.loading import Done, Load
from deployments.fleet.showing import shown
from deployments.fleet.slots import FOREVER, Slot, Slots

logger = logging.getLogger(__name__)

TICK_S = 0.5  # between two looks at what has lapsed or expired


class Manager:
    """The models that come and go. find: the settings of a model by its name, raising ModelNotFound.

    device_of: what a model runs on, in a word. memory_of, gpus_of: what it is thought to take, in GiB, and has
    reserved for it. clock: seconds that only grow. record: told of each event; it may not wait.
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
        memory_of: Callable[[ModelSettings], float] = lambda model: model.memory or 0.0,
        gpus_of: Callable[[ModelSettings], float] = lambda _: 0.0,
        clock: Callable[[], float] = time.monotonic,
        record: Callable[[ModelEvent], None] = lambda _: None,
    ) -> None:
        self._settings = settings
        self._deployer = deployer
        self._find = find
        self._device_of = device_of
        self._memory_of, self._gpus_of = memory_of, gpus_of
        self._clock = clock
        self._slots = Slots(most=most, memory_gib=settings.memory_gib, gpus=settings.gpus, at_once=settings.at_once)
        self._models: dict[str, ModelSettings] = {}
        self._wanted: dict[str, Load] = {}  # in the order in which they were asked for
        self._loads = 0  # of all time
        self._done: dict[str, Done] = {}
        self._history = History(record)
        self._tasks = Tasks()
        for name, model in fixed.items():
            self._models[name] = model
            self._slots.put(self._slot(model, ModelState.READY, fixed=True))

    async def start(self) -> None:
        """Take over what an earlier manager has loaded, and begin to watch the clock."""
        for name in await self._deployer.loaded():
            self._models[name] = self._find(name)
            self._ready(name, Done(), reason="found loaded", code="found")
            await self._weigh(name)
        self._tasks.spawn(self._watch())

    async def stop(self) -> None:
        """Stop watching; what is loaded stays loaded, for whoever manages it next."""
        await self._tasks.stop()

    async def claim(self, name: str, holder: str, *, wait_s: float | None = None) -> Claim:
        """The right to use a model, which is loaded first where it is not.

        wait_s: how long to wait for that, at most as long as the settings allow.

        Raises ModelNotFound, ModelLoading when the time is up, NoRoom and ModelTooLarge, LoadFailed and its
        OutOfMemory, and Overloaded where too many wait already.
        """
        slot = self._slots.get(name)
        if slot is not None and slot.state is ModelState.READY:
            return self._claimed(name, holder)
        load = self._want(name)
        if len(load.waiting) >= self._settings.max_waiting:
            raise Overloaded(f"{len(load.waiting)} requests wait for {name} to load", retry_after_s=5.0)
        longest = self._settings.wait_s if wait_s is None else min(wait_s, self._settings.wait_s)
        future = load.join(holder)
        self._pump()
        return await load.answer(future, within_s=longest, now=self._clock)

    def renew(self, uses: tuple[Using, ...]) -> tuple[str, ...]:
        """A gateway lives and uses these models, so many requests each. Returns the models it may not use.

        Of a model of the configuration it may say that it has no more requests there.
        """
        void, now = [], self._clock()
        for use in uses:
            slot = self._slots.get(use.model)
            if slot is None or slot.state is not ModelState.READY:
                void.append(use.model)
            elif slot.fixed and not use.requests:
                self._slots.release(use.model, use.holder, now=now)
            else:
                until = now + self._settings.lease_s
                self._slots.claim(use.model, use.holder, now=now, until=until, requests=use.requests)
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
            what = "pinned" if pin else "unpinned"
            self._history.tell(name, what, "asked for", code="asked", memory_gib=_rounded(slot.memory_gib))
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
            self._leave(name, "asked for", code="asked")
        while name in self._slots:
            await self._history.changed(self._history.number, 1.0)

    def loaded(self) -> tuple[LoadedModel, ...]:
        """What `ps` shows: the longest unused first, then what waits for its room."""
        shown = [self._shown(slot) for slot in self._slots.all()]
        waiting = [self._shown_waiting(load) for name, load in self._wanted.items() if name not in self._slots]
        return (*shown, *waiting)

    def events(self, after: int) -> tuple[ModelEvent, ...]:
        """What has happened since the event of that number."""
        return self._history.since(after)

    async def changed(self, after: int, timeout_s: float) -> tuple[ModelEvent, ...]:
        """The same, waiting for something to happen; empty when the time is up."""
        return await self._history.changed(after, timeout_s)

    def _want(self, name: str) -> Load:
        load = self._wanted.get(name)
        if load is None:
            model = self._find(name)
            memory_gib, gpus = self._memory_of(model), self._gpus_of(model)
            load = Load(model=model, began=self._clock(), memory_gib=memory_gib, gpus=gpus)
            self._wanted[name] = load
            self._history.tell(name, "wanted")
        return load

    def _pump(self) -> None:
        """Begin the loads that there is room for, in the order in which they were asked for."""
        for name, load in list(self._wanted.items()):
            if load.task is not None or name in self._slots:
                continue
            room = self._slots.room(load.memory_gib, load.gpus)
            if room.never is not None:
                self._fail(name, ModelTooLarge(f"{name} can't be loaded: {room.never}", param="model"))
                continue
            if room.wait is not None:
                first, load.blocked = not load.blocked, room.wait
                if first:  # what it waits for may change many times; `ps` says what it is now
                    self._history.tell(name, "waiting", room.wait, code="no_room", **load.inputs(self._slots))
                return  # those behind it wait, too: or a small model would pass a large one for ever
            for victim in room.first:
                self._leave(victim, f"its memory is needed for {name}", code="memory", needed_for=name)
            self._slots.put(self._slot(load.model, ModelState.LOADING))
            load.task = self._tasks.spawn(self._load(name, load, room.first))

    async def _load(self, name: str, load: Load, first: tuple[str, ...]) -> None:
        began = self._clock()
        try:
            async with asyncio.timeout(self._settings.load_timeout_s):
                await self._gone(first)
                inputs = load.inputs(self._slots, freed=first)
                self._history.tell(
                    name, "loading", f"{len(load.waiting)} requests wait for it", code="asked", **inputs
                )
                await self._deployed(load)
        except TimeoutError:
            self._fail(name, LoadFailed(f"{name} did not load within {self._settings.load_timeout_s:.0f} s"))
        except HeliostatError as error:
            self._fail(name, error)
        except Exception as error:
            logger.exception("loading %s failed", name)
            self._fail(name, LoadFailed(f"{name} could not be loaded: {error}"))
        else:
            self._models[name] = load.model
            self._wanted.pop(name, None)
            took_s = self._clock() - began
            self._ready(name, Done(took_s=took_s, at=time.time()), reason=f"in {took_s:.1f} s", code="loaded")
            load.done(lambda holder: self._claimed(name, holder))  # before anything may be unloaded: they use it
            await self._weigh(name)
        self._tidy()

    async def _deployed(self, load: Load) -> None:
        """Have it loaded; where memory was short, once more without the models that nobody uses.

        Raises LoadFailed, and OutOfMemory where that did not help or there were none.
        """
        try:
            await self._deployer.load(load.model)
        except OutOfMemory as error:
            name, idle = load.model.id, tuple(slot.name for slot in self._slots.idle())
            if not idle:
                raise
            load.note = "out of memory; once more without the models that nobody uses"
            inputs = load.inputs(self._slots, freed=idle)
            self._history.tell(name, "again", error.message, code=error.code, **inputs)
            for victim in idle:
                self._leave(victim, f"{name} ran out of memory", code="out_of_memory", needed_for=name)
            await self._gone(idle)
            await self._deployer.load(load.model)

    async def _gone(self, names: tuple[str, ...]) -> None:
        while any(name in self._slots for name in names):
            await self._history.changed(self._history.number, 1.0)

    def _ready(self, name: str, done: Done, *, reason: str, code: str) -> None:
        self._loads += 1
        self._done[name] = done
        slot = self._slot(self._models[name], ModelState.READY, keep_alive_s=self._settings.keep_alive_s)
        self._slots.put(slot)
        load_s = round(done.took_s, 3)
        self._history.tell(name, "ready", reason, code=code, load_s=load_s, memory_gib=_rounded(slot.memory_gib))

    def _slot(
        self, model: ModelSettings, state: ModelState, *, fixed: bool = False, keep_alive_s: float = FOREVER
    ) -> Slot:
        return Slot(
            name=model.id,
            state=state,
            memory_gib=self._memory_of(model),
            gpus=self._gpus_of(model),
            fixed=fixed,
            keep_alive_s=keep_alive_s,
            used_at=self._clock(),
        )

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
        inputs = {} if load is None else load.inputs(self._slots)
        self._history.tell(name, "failed", error.message, code=error.code, **inputs)
        if load is not None:
            load.failed(error)

    def _leave(self, name: str, reason: str, *, code: str, **inputs: str) -> None:
        slot = self._slots.get(name)
        assert slot is not None
        slot.state = ModelState.UNLOADING
        idle_s = round(self._clock() - slot.used_at, 1)
        figures = {"memory_gib": _rounded(slot.memory_gib), "idle_s": idle_s, "in_use": self._slots.in_use()}
        self._history.tell(name, "unloading", reason, code=code, **inputs, **figures)
        self._tasks.spawn(self._unload(name, code))

    async def _unload(self, name: str, code: str) -> None:
        try:
            await self._deployer.unload(name)
        except Exception:
            logger.exception("unloading %s failed", name)
        slot = self._slots.get(name)
        self._slots.drop(name)
        self._done.pop(name, None)
        freed = 0.0 if slot is None else slot.memory_gib
        self._history.tell(name, "unloaded", code=code, freed_gib=_rounded(freed))
        self._tidy()

    def _tidy(self) -> None:
        """Unload what is too much or out of time, then load what there is room for."""
        for name in self._slots.surplus():
            self._leave(name, "more models are loaded than may be, and it was used least recently", code="count")
        for name in self._slots.expired(self._clock()):
            self._leave(name, "nobody has asked for it for as long as it was to be kept", code="idle")
        self._pump()

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(TICK_S)
            for name in self._slots.lapse(self._clock()):
                reason = "a gateway that used it has been silent"
                self._history.tell(name, "lapsed", reason, code="silent", lease_s=self._settings.lease_s)
            for name in [name for name, load in self._wanted.items() if not load.waiting and load.task is None]:
                del self._wanted[name]  # whoever asked for it is gone
            self._tidy()

    def _claimed(self, name: str, holder: str) -> Claim:
        now, lease_s = self._clock(), self._settings.lease_s
        self._slots.claim(name, holder, now=now, until=now + lease_s)
        mark = self._done[name].mark if name in self._done else ""
        return Claim(application=application_of(name), load=mark, lease_s=lease_s)

    def _shown(self, slot: Slot) -> LoadedModel:
        load = self._wanted.get(slot.name)
        model = load.model if load is not None else self._models[slot.name]
        done = self._done.get(slot.name)
        return shown(slot, model, load=load, done=done, device=self._device_of(model), now=self._clock())

    def _shown_waiting(self, load: Load) -> LoadedModel:
        waiting = Slot(name=load.model.id, state=ModelState.LOADING, keep_alive_s=FOREVER, used_at=load.began)
        return self._shown(waiting)


def _rounded(gib: float) -> float:
    return round(gib, 3)
