"""How a model comes and goes in Ray Serve: an application of its own, without a route."""

import asyncio
from typing import TYPE_CHECKING, Any, Protocol, cast

from cluster.catalog import deployment_name
from cluster.errors import LoadFailed, OutOfMemory
from cluster.runtime.readiness import root_cause
from cluster.serve_errors import translate
from cluster.settings.models import ModelSettings
from cluster.types import Health, ModelCard
from deployments.fleet.out_of_memory import out_of_memory

if TYPE_CHECKING:
    from collections.abc import Callable

    from ray.serve import Application

PREFIX = "model-"
LOOK_S = 0.25


class Deployer(Protocol):
    """What the manager needs of Serve."""

    async def load(self, model: ModelSettings) -> None:
        """Return when the model answers.

        Raises LoadFailed with the reason, OutOfMemory where that was it; nothing of it is left then.
        """
        ...

    async def unload(self, name: str) -> None:
        """Return when the model's replicas are gone and their memory is free."""
        ...

    async def health(self, name: str) -> Health:
        """How a replica is; `memory_gib` among its figures."""
        ...

    async def loaded(self) -> tuple[str, ...]:
        """The models that are loaded, also by a manager that is no more."""
        ...


def application_of(name: str) -> str:
    """The Serve application of a model."""
    return PREFIX + deployment_name(name)


class ServeDeployer:
    """Loads models as applications of the Serve cluster that this process belongs to."""

    def __init__(self, build: "Callable[[ModelSettings], Application]") -> None:
        self._build = build

    async def load(self, model: ModelSettings) -> None:
        """Deploy it, and wait for its replicas."""
        name = application_of(model.id)
        try:
            # On this loop and not in a thread: Serve pickles by tables that it changes wherever a handle is made.
            _hand_over(self._build(model), name)
            status = await self._settled(name)
        except asyncio.CancelledError:
            await asyncio.shield(self.unload(model.id))
            raise
        except Exception as error:
            await self.unload(model.id)
            raise failure(model.id, str(error)) from error
        if status != "RUNNING":
            message = await asyncio.to_thread(_message_of, name)
            await self.unload(model.id)
            raise failure(model.id, message)

    async def _settled(self, application: str) -> str:
        """The application's status once it is no longer deploying."""
        from ray import serve

        while True:
            found = (await asyncio.to_thread(serve.status)).applications.get(application)
            if found is not None and found.status not in ("NOT_STARTED", "DEPLOYING"):
                return str(found.status.value)
            await asyncio.sleep(LOOK_S)

    async def unload(self, name: str) -> None:
        """Delete the application, and wait until it is gone."""
        from ray import serve

        application = application_of(name)
        await asyncio.to_thread(serve.delete, application, _blocking=False)
        while application in (await asyncio.to_thread(serve.status)).applications:  # noqa: ASYNC110 - nothing tells
            await asyncio.sleep(LOOK_S)

    async def health(self, name: str) -> Health:
        """Of one replica."""
        from ray import serve

        handle: Any = await asyncio.to_thread(serve.get_app_handle, application_of(name))
        try:
            return cast(Health, await handle.health.remote())
        except Exception as error:
            raise translate(error) from error

    async def loaded(self) -> tuple[str, ...]:
        """What runs in Serve under our names; an application that does not run is taken away."""
        from ray import serve

        found: list[str] = []
        for name, status in (await asyncio.to_thread(serve.status)).applications.items():
            if not name.startswith(PREFIX):
                continue
            if status.status != "RUNNING":
                await asyncio.to_thread(serve.delete, name, _blocking=False)
                continue
            handle: Any = await asyncio.to_thread(serve.get_app_handle, name)
            card: ModelCard = await handle.card.remote()
            found.append(card.id)
        return tuple(found)


def gpus_in_cluster() -> float | None:
    """How many GPUs Ray knows of; None outside of a cluster."""
    import ray

    if not ray.is_initialized():
        return None
    return float(ray.cluster_resources().get("GPU", 0.0))  # type: ignore[no-untyped-call]


def failure(name: str, message: str) -> LoadFailed:
    """What Serve's message on a model that did not come up means. The whole of it is looked at, the end is told."""
    said = f"{name} could not be loaded: {root_cause(message)}"
    if out_of_memory(message):
        hint = "it has too little memory: unload others, or give it a shorter context_length"
        return OutOfMemory(said, hint=hint, param="model")
    return LoadFailed(said, param="model")


def _hand_over(application: "Application", name: str) -> None:
    """Give Serve an application to deploy, and wait for nothing."""
    from ray.serve.api import RunTarget, run_many

    target = RunTarget(target=application, name=name, route_prefix=None)
    run_many([target], wait_for_ingress_deployment_creation=False, wait_for_applications_running=False)


def _message_of(application: str) -> str:
    """What Serve says of an application that could not be deployed."""
    from ray import serve

    status = serve.status().applications.get(application)
    if status is None:
        return ""
    parts = [deployment.message for deployment in status.deployments.values() if deployment.message]
    return parts[-1] if parts else status.message
