"""The gateway as a Serve deployment: a shell that makes clients of handles and an app of clients."""

import logging
from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from cluster import logs, serve_pickling
from cluster.engines.remote.providers import Providers
from cluster.errors import DatabaseAway
from cluster.runtime.document import DEFAULT_HOST, refuse_open
from cluster.runtime.serving import http_host
from cluster.runtime.sigterm import STOP
from cluster.settings.tree import Settings
from cluster.stores.database import engine_of
from cluster.types import LineAnswer, LineCall, Task
from deployments.clients import Backends, ChatModel
from deployments.gateway.app import build_app, build_lines
from deployments.gateway.graphql import routes as graphql
from deployments.gateway.limits.gate import open_gate
from deployments.gateway.metrics import RayMetrics
from deployments.gateway.model_records.book import open_book
from deployments.gateway.models.listing import available, described
from deployments.gateway.providers.provided import Provided
from deployments.gateway.routing.build import open_router
from deployments.gateway.routing.places import Places
from deployments.gateway.routing.scale_watch import ScaleWatch
from deployments.handles import ChatModelClient, EmbedderClient, FleetClient, RerankerClient, RetrieverClient

if TYPE_CHECKING:
    from fastapi import FastAPI
    from ray.serve.handle import DeploymentHandle
    from sqlalchemy import Engine


logger = logging.getLogger(__name__)


class Gateway:
    """The HTTP ingress. models, rerankers: handles by model id; embedder, retriever, fleet: None for none."""

    def __init__(
        self,
        settings: Settings,
        models: "Mapping[str, DeploymentHandle[Any]]",
        embedder: "DeploymentHandle[Any] | None",
        retriever: "DeploymentHandle[Any] | None",
        fleet: "DeploymentHandle[Any] | None" = None,
        rerankers: "Mapping[str, DeploymentHandle[Any]] | None" = None,
    ) -> None:
        logs.configure(json_lines=True)
        serve_pickling.take_turns()
        self._settings = settings
        gate = open_gate(settings)
        sleepers = {model.id for model in settings.started_models if model.replicas.min == 0}
        always: Mapping[str, ChatModel] = {
            name: ChatModelClient(handle, sleeps=name in sleepers) for name, handle in models.items()
        }
        providers = Providers(settings)
        always = Provided(always, providers)
        comers = FleetClient(fleet) if fleet is not None else None
        backends = Backends(
            models=available(always, comers, settings, gate=gate) if comers and _in_cluster() else always,
            fleet=comers,
            providers=providers,
            embedder=EmbedderClient(embedder) if embedder is not None else None,
            retriever=RetrieverClient(retriever) if retriever is not None else None,
            rerankers=_rerankers(rerankers or {}, settings),
        )
        # One of each for both: they share the models' queues, the breakers, the events and the records.
        self._database = engine_of(settings.database_url)
        places = Places(settings, gate)
        self._router = open_router(settings, gate=gate, engine=self._database, running=places.running)
        self._router.scaling = ScaleWatch(settings, self._router.events) if _in_cluster() else None
        book = open_book(backends, self._database)
        shared: dict[str, Any] = {
            "gate": gate,
            "engine": self._database,
            "router": self._router,
            "book": book,
        }
        self._lines = build_lines(backends, settings, **shared)
        self._app = partial(build_app, backends, settings, **shared)
        STOP.hold(self)

    def __serve_build_asgi_app__(self) -> "FastAPI":
        """Called by Serve on the replica, so that nothing of the app is ever pickled."""
        _refuse_open(self._settings)
        _look_at(self._database)
        graphql.warm()
        metrics = RayMetrics()
        self._router.report(metrics)
        return self._app(behind_serve=True, metrics=metrics)

    async def answer(self, call: LineCall) -> LineAnswer:
        """One line of a batch, asked by its job through the handle; cancelling it stops the generation."""
        return await self._lines.answer(call)

    def asgi(self) -> "FastAPI":
        """The app over the graph's own handles, for tests in Serve's local testing mode."""
        return self._app()


def _rerankers(handles: "Mapping[str, DeploymentHandle[Any]]", settings: Settings) -> dict[str, RerankerClient]:
    sleepers = {
        model.id: described(model, Task.RERANK) for model in settings.rerank_models if not model.replicas.min
    }
    return {name: RerankerClient(handle, asleep=sleepers.get(name)) for name, handle in handles.items()}


def _in_cluster() -> bool:
    """Not in Serve's local testing mode, where no application comes or goes."""
    import ray

    return bool(ray.is_initialized())


def _look_at(database: "Engine") -> None:
    """Make its tables, or raise StartFailed where they are another version's.

    A gateway starts without a database that is away: it would answer all that needs none, and the rest once
    the database is back.
    """
    try:
        database.connect().close()
    except DatabaseAway as error:
        logger.warning("%s; requests that need it get 503 until it does", error.message)


def _refuse_open(settings: Settings) -> None:
    """What `up` refuses is refused here again, for those who deploy with Serve's own tools, or KubeRay's.

    Raises AuthRequired.
    """
    if settings.auth.mode == "on":
        return
    host = http_host()
    refuse_open(host or DEFAULT_HOST, authenticated=False, origin="Ray Serve")
    logger.warning("auth is off: whoever reaches %s on this machine is an admin", host)
