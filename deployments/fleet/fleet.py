"""The fleet's manager as a Serve deployment: one for the whole cluster."""

from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

from cluster import logs, serve_pickling
from cluster.errors import DatabaseAway
from cluster.gpus import nvml, sizes_gib
from cluster.library.library import Library
from cluster.runtime.sigterm import STOP
from cluster.settings.models import ModelSettings
from cluster.settings.tree import Settings
from cluster.types import Claim, Health, LoadedModel, ModelEvent, Using
from deployments.fleet.deployer import ServeDeployer, gpus_in_cluster
from deployments.fleet.ending import in_actor
from deployments.fleet.manager import Manager
from deployments.fleet.memory import budget_gib, expected_gib
from deployments.fleet.records import open_log, record

if TYPE_CHECKING:
    from ray.serve import Application


class Fleet:
    """Loads and unloads models. build: the application of a model."""

    async def __init__(self, settings: Settings, build: "Callable[[ModelSettings, Settings], Application]") -> None:  # type: ignore[misc]
        # Serve awaits an async constructor.
        logs.configure(json_lines=True)
        serve_pickling.take_turns()
        library = nvml() if settings.hub.enable_gpu else None
        limits, sizes = settings.fleet, sizes_gib(library)
        there = gpus_in_cluster()
        if limits.memory_gib is None:
            limits = limits.model_copy(update={"memory_gib": budget_gib(library, gpus_in_cluster=there)})
        if limits.gpus is None:
            limits = limits.model_copy(
                update={"gpus": there or None}
            )  # none yet: a cluster that grows with its load
        self._log = open_log(settings)
        self._manager = Manager(
            limits,
            ServeDeployer(lambda model: build(model, settings)),
            most=settings.hub.max_cached_models,
            fixed={model.id: model for model in settings.started_models},
            find=lambda name: found(name, settings),
            device_of=settings.device_of,
            memory_of=lambda model: expected_gib(model, reserved=settings.gpus_of(model), sizes=sizes),
            gpus_of=lambda model: settings.gpus_of(model) * max(1, model.replicas.min),
            record=partial(record, self._log),
        )
        if in_actor():  # else it is Serve's local testing mode, which has no cluster to load anything in
            await self._manager.start()
            STOP.hold(self)

    async def claim(self, name: str, holder: str, *, wait_s: float | None = None) -> Claim:
        """See `Manager.claim`."""
        return await self._manager.claim(name, holder, wait_s=wait_s)

    async def renew(self, uses: tuple[Using, ...]) -> tuple[str, ...]:
        """See `Manager.renew`."""
        return self._manager.renew(uses)

    async def release(self, name: str, holder: str, *, keep_alive_s: float | None) -> None:
        """See `Manager.release`."""
        self._manager.release(name, holder, keep_alive_s=keep_alive_s)

    async def load(self, name: str, *, pin: bool | None, keep_alive_s: float | None) -> LoadedModel:
        """See `Manager.load`."""
        return await self._manager.load(name, pin=pin, keep_alive_s=keep_alive_s)

    async def unload(self, name: str, *, force: bool) -> None:
        """See `Manager.unload`."""
        await self._manager.unload(name, force=force)

    async def loaded(self) -> tuple[LoadedModel, ...]:
        """See `Manager.loaded`."""
        return self._manager.loaded()

    async def changed(self, after: int, timeout_s: float) -> tuple[ModelEvent, ...]:
        """See `Manager.changed`."""
        return await self._manager.changed(after, timeout_s)

    async def health(self) -> Health:
        """How many models are loaded."""
        return Health(status="running", figures={"loaded": float(len(self._manager.loaded()))})

    async def __del__(self) -> None:
        """Called by Serve when it stops the replica; the models stay."""
        await self._manager.stop()
        with suppress(DatabaseAway):
            await self._log.flush()


def found(name: str, settings: Settings) -> ModelSettings:
    """The settings of a model by its id: of the configuration, or of the catalog where it is on disk.

    Raises ModelNotFound, and InvalidModelName.
    """
    for model in settings.chat_models:
        if model.id == name:
            return model
    library = Library(settings.hub)
    entry = library.entry(name)
    if not settings.fleet.on_demand or not entry.loadable:
        raise library.unknown(name)
    return ModelSettings.model_validate(entry.config_line)
