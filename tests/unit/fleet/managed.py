"""A manager over a deployer without a cluster."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from cluster.errors import LoadFailed, ModelNotFound, OutOfMemory
from cluster.settings.fleet import FleetSettings
from cluster.settings.models import ModelSettings
from cluster.types import Health, LoadedModel, ModelEvent, Using
from deployments.fleet.manager import Manager

GIB = 1.0


class Loads:
    """A deployer that notes what it is asked for. Loading a model in `held` waits for its event."""

    def __init__(self, *found: str) -> None:
        self.there: list[str] = list(found)
        self.log: list[str] = []
        self.held: dict[str, asyncio.Event] = {}
        self.broken: set[str] = set()
        self.large: dict[str, int] = {}  # which have memory only while so few others are there
        self.most = 0

    async def load(self, model: ModelSettings) -> None:
        self.log.append(f"load {model.id}")
        if model.id in self.held:
            await self.held[model.id].wait()
        await asyncio.sleep(0)
        if model.id in self.broken:
            raise LoadFailed(f"{model.id} is broken")
        if len(self.there) > self.large.get(model.id, 99):
            raise OutOfMemory(f"{model.id} is large")
        self.there.append(model.id)
        self.most = max(self.most, len(self.there))

    async def unload(self, name: str) -> None:
        self.log.append(f"unload {name}")
        await asyncio.sleep(0)
        if name in self.there:
            self.there.remove(name)

    async def health(self, name: str) -> Health:
        return Health(status="running", figures={"memory_gib": GIB})

    async def loaded(self) -> tuple[str, ...]:
        return tuple(self.there)


def model(name: str, gib: float = GIB) -> ModelSettings:
    return ModelSettings.model_validate({"id": name, "engine": {"kind": "scripted"}, "memory_gib": gib})


def find(name: str) -> ModelSettings:
    if name.startswith("no"):
        raise ModelNotFound(f"no {name}")
    return model(name, 99.0 if name == "huge" else GIB)


def gpus_of(model: ModelSettings) -> float:
    return 1.0 if model.id.startswith("gpu") else 0.0


@asynccontextmanager
async def running(
    deployer: Loads,
    *,
    most: int = 3,
    fixed: tuple[str, ...] = (),
    clock: Callable[[], float] = time.monotonic,
    record: Callable[[ModelEvent], None] = lambda _: None,
    **settings: object,
) -> AsyncIterator[Manager]:
    limits = FleetSettings.model_validate({"memory_gib": 50.0, **settings})
    there = {name: model(name) for name in fixed}
    manager = Manager(
        limits, deployer, most=most, fixed=there, find=find, gpus_of=gpus_of, clock=clock, record=record
    )
    await manager.start()
    try:
        yield manager
    finally:
        await manager.stop()


def using(name: str, holder: str, requests: int = 1) -> Using:
    return Using(model=name, holder=holder, requests=requests)


def named(manager: Manager, name: str) -> LoadedModel | None:
    return next((one for one in manager.loaded() if one.id == name), None)


async def settled(manager: Manager, *names: str) -> None:
    async with asyncio.timeout(5):
        while {one.id for one in manager.loaded()} != set(names):
            await manager.changed(10**9, 0.01)
