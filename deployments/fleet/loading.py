"""A model on its way: who waits for it, since when, and what it waits for itself."""

import asyncio
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field

from cluster.errors import HeliostatError, ModelLoading, NoRoom
from cluster.settings.models import ModelSettings
from cluster.types import Claim
from deployments.fleet.slots import Slots


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """A load that is done. took_s: 0 where an earlier manager saw to it. at: Unix seconds, None likewise.

    mark: no other load's, of any manager.
    """

    took_s: float = 0.0
    at: float | None = None
    mark: str = field(default_factory=lambda: uuid.uuid4().hex)


@dataclass(slots=True, kw_only=True)
class Load:
    """A model that is wanted or loading. began: seconds of the manager's clock.

    memory_gib, gpus: what it is thought to take. waiting: those to be told, with their gateways' names. blocked:
    why it has not begun. note: what its load does, where that is more than loading.
    """

    model: ModelSettings
    began: float
    memory_gib: float
    gpus: float = 0.0
    waiting: "list[tuple[str, asyncio.Future[Claim]]]" = field(default_factory=list)
    task: "asyncio.Task[None] | None" = None
    blocked: str = ""
    note: str = ""

    @property
    def detail(self) -> str:
        """What it waits for, for whoever waits for it."""
        if self.task is None:
            return f"waiting for room: {self.blocked}" if self.blocked else "waiting for its turn"
        return self.note

    def inputs(self, slots: Slots, **more: object) -> dict[str, object]:
        """What a decision on it is made on."""
        found: dict[str, object] = {
            "waiting": len(self.waiting),
            "memory_gib": round(self.memory_gib, 3),
            "taken_gib": round(slots.taken_gib(), 3),
            "budget_gib": None if slots.memory_gib is None else round(slots.memory_gib, 3),
            "most": slots.most,
            "in_use": slots.in_use(),
        }
        return found | ({"gpus": self.gpus, "of_gpus": slots.gpus} if self.gpus else {}) | more

    def join(self, holder: str) -> "asyncio.Future[Claim]":
        """Be one of those that wait; `answer` is to follow."""
        future: asyncio.Future[Claim] = asyncio.get_running_loop().create_future()
        self.waiting.append((holder, future))
        return future

    async def answer(self, future: "asyncio.Future[Claim]", *, within_s: float, now: Callable[[], float]) -> Claim:
        """Wait until it is loaded. Raises why it could not be, and `late` when the time is up."""
        try:
            async with asyncio.timeout(within_s):
                return await future
        except TimeoutError:
            raise self.late(now()) from None
        finally:
            self.waiting = [(who, one) for who, one in self.waiting if one is not future]

    def done(self, claimed: Callable[[str], Claim]) -> None:
        """It is loaded: all who wait for it have it, from now on."""
        for holder, future in self.waiting:
            if not future.done():
                future.set_result(claimed(holder))

    def failed(self, error: HeliostatError) -> None:
        """It could not be loaded: all who wait for it are told."""
        for _, future in self.waiting:
            if not future.done():
                future.set_exception(error)
                future.exception()  # read: who waited may be gone

    def late(self, now: float) -> HeliostatError:
        """Why somebody has waited in vain."""
        name = self.model.id
        if self.task is None:
            return NoRoom(f"{name} is not loaded: {self.blocked or 'others are before it'}", retry_after_s=5.0)
        took = f"{name} has been loading for {now - self.began:.0f} s"
        return ModelLoading(took, hint="ask again", retry_after_s=5.0)
