"""Which models are loaded, who uses them, and which of them goes when room is needed: a pure policy.

Nothing here loads anything, waits or reads a clock: the manager tells what happened and when, and is told what to
do. Two promises are kept here: a model in use is never chosen to go, and no model goes for one that cannot be
loaded anyway.
"""

from dataclasses import dataclass, field

from cluster.types import ModelState

FOREVER = -1.0
TINY = 1e-6  # of a GPU: ten tenths are a little less than one


@dataclass(slots=True, kw_only=True)
class Slot:
    """One model that is loaded, loading or leaving. Times in seconds of the manager's clock.

    holders: the gateways that use it, each with the time at which its claim lapses. requests: how many each has
    there, where it has said so. keep_alive_s: -1 is for ever. fixed: part of the configuration; it neither comes
    nor goes.
    """

    name: str
    state: ModelState
    memory_gib: float = 0.0
    gpus: float = 0.0
    holders: dict[str, float] = field(default_factory=dict)
    requests: dict[str, int] = field(default_factory=dict)
    keep_alive_s: float = FOREVER
    pinned: bool = False
    fixed: bool = False
    used_at: float = 0.0

    @property
    def in_use(self) -> int:
        """Requests that use it now; a gateway that has not said how many has one."""
        return sum(self.requests.get(holder, 1) for holder in self.holders)

    @property
    def idle(self) -> bool:
        """Whether it may go when room is needed."""
        return self.state is ModelState.READY and not self.holders and not self.pinned and not self.fixed

    @property
    def until(self) -> float | None:
        """When it goes for want of use; None where it stays."""
        if not self.idle or self.keep_alive_s < 0:
            return None
        return self.used_at + self.keep_alive_s


@dataclass(frozen=True, slots=True, kw_only=True)
class Room:
    """Whether a model may load now. first: what has to go before it.

    wait: not now, as all that could go is in use or others load. never: why it can't be loaded here at all.
    """

    first: tuple[str, ...] = ()
    wait: str | None = None
    never: str | None = None


class Slots:
    """The table of loaded models. most: how many; memory_gib, gpus: of all together, None where nobody counts."""

    def __init__(self, *, most: int, memory_gib: float | None, gpus: float | None = None, at_once: int = 1) -> None:
        self.most = most
        self.memory_gib = memory_gib
        self.gpus = gpus
        self._at_once = at_once
        self._slots: dict[str, Slot] = {}

    def __contains__(self, name: str) -> bool:
        return name in self._slots

    def get(self, name: str) -> Slot | None:
        """The model's slot, where it has one."""
        return self._slots.get(name)

    def all(self) -> tuple[Slot, ...]:
        """All slots, the longest unused first."""
        return tuple(sorted(self._slots.values(), key=lambda slot: slot.used_at))

    def put(self, slot: Slot) -> None:
        """A model takes a slot: it begins to load, or was found loaded."""
        self._slots[slot.name] = slot

    def drop(self, name: str) -> None:
        """A model's load has failed, or it is gone and its memory with it."""
        self._slots.pop(name, None)

    def idle(self) -> tuple[Slot, ...]:
        """Those that may go when room is needed, the longest unused first."""
        return tuple(slot for slot in self.all() if slot.idle)

    def in_use(self) -> tuple[str, ...]:
        """The models that stay whatever is needed, for they are used, or told to."""
        return tuple(slot.name for slot in self.all() if slot.state is ModelState.READY and not slot.idle)

    def taken_gib(self) -> float:
        """What all take together."""
        return sum(slot.memory_gib for slot in self._slots.values())

    def claim(self, name: str, holder: str, *, now: float, until: float, requests: int | None = None) -> None:
        """Somebody uses a loaded model, or still does. requests: how many that are; None is not known."""
        slot = self._slots[name]
        slot.holders[holder] = until
        slot.used_at = now
        if requests is not None:
            slot.requests[holder] = requests

    def release(self, name: str, holder: str, *, now: float, keep_alive_s: float | None = None) -> None:
        """Somebody no longer uses it. keep_alive_s: how long it may stay from now on; None changes nothing."""
        slot = self._slots.get(name)
        if slot is None:
            return
        slot.holders.pop(holder, None)
        slot.requests.pop(holder, None)
        slot.used_at = now
        if keep_alive_s is not None:
            slot.keep_alive_s = keep_alive_s

    def lapse(self, now: float) -> tuple[str, ...]:
        """Void the claims that nobody has renewed; the models they were on."""
        lapsed: list[str] = []
        for slot in self._slots.values():
            gone = [holder for holder, until in slot.holders.items() if until <= now]
            for holder in gone:
                del slot.holders[holder]
                slot.requests.pop(holder, None)
            if gone:
                lapsed.append(slot.name)
        return tuple(lapsed)

    def room(self, memory_gib: float, gpus: float = 0.0) -> Room:
        """Whether a model that takes so much may load now, and what goes first.

        The count may be exceeded by the models that load: what goes for them goes when they are there (`surplus`),
        so that a load that fails has cost nobody anything, and is counted until it is gone. Memory and GPUs can't
        be had twice: what is missing of them goes first.
        """
        never = self._never(memory_gib, gpus)
        if never is not None:
            return Room(never=never)
        loading = [slot.name for slot in self._slots.values() if slot.state is ModelState.LOADING]
        if len(loading) >= self._at_once:
            return Room(wait=f"{loading[0]} is loading")
        idle = self.idle()
        if len(self._slots) - len(idle) >= self.most:
            return Room(wait="the models that are loaded are in use")
        if len(self._slots) >= self.most + self._at_once:
            return Room(wait="models that went for others are not gone yet")
        missing_gib = 0.0 if self.memory_gib is None else self.taken_gib() + memory_gib - self.memory_gib
        missing_gpus = 0.0 if self.gpus is None or not gpus else self._taken_gpus() + gpus - self.gpus
        first: list[str] = []
        for slot in idle:
            if missing_gib <= 0 and (missing_gpus <= TINY or not slot.gpus):
                continue
            first.append(slot.name)
            missing_gib -= slot.memory_gib
            missing_gpus -= slot.gpus
        if missing_gib > 0 or missing_gpus > TINY:
            return Room(wait="the memory is in use" if missing_gib > 0 else "the GPUs are in use")
        return Room(first=tuple(first))

    def _never(self, memory_gib: float, gpus: float) -> str | None:
        """Why a model can't be loaded here, whatever goes; None where it could be."""
        staying = [slot for slot in self._slots.values() if slot.fixed or slot.pinned]
        if self.memory_gib is not None:
            free_gib = self.memory_gib - sum(slot.memory_gib for slot in staying)
            if memory_gib > free_gib:
                return f"it takes {memory_gib:.1f} GiB, and {max(free_gib, 0.0):.1f} GiB can be made free for it"
        if self.gpus is not None:
            free = self.gpus - sum(slot.gpus for slot in staying)
            if gpus > free + TINY:
                return f"it takes {gpus:g} GPUs, and {max(free, 0.0):g} can be made free for it"
        if len(staying) >= self.most:
            return f"all {self.most} places are taken by models that stay"
        return None

    def _taken_gpus(self) -> float:
        return sum(slot.gpus for slot in self._slots.values())

    def surplus(self) -> tuple[str, ...]:
        """The models that go now, because more are loaded than may be: the longest unused of the idle ones."""
        loaded = [slot for slot in self._slots.values() if slot.state is ModelState.READY]
        over = len(loaded) - self.most
        return tuple(slot.name for slot in self.idle())[: max(over, 0)]

    def expired(self, now: float) -> tuple[str, ...]:
        """The models that nobody has used for as long as they were to be kept."""
        return tuple(slot.name for slot in self.all() if slot.until is not None and slot.until <= now)
