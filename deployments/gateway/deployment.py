"""The gateway as a Serve deployment: a shell that makes clients of handles and an app of clients."""

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from cluster import logs
from cluster.runtime.document import DEFAULT_HOST, refuse_open
from cluster.runtime.serving import http_host
from cluster.settings.tree import Settings
from cluster.types import LineAnswer, LineCall
from deployments.clients import Backends, ChatModelClient, EmbedderClient, RetrieverClient
from deployments.gateway.app import build_app, build_lines
from deployments.gateway.limits.gate import open_gate
from deployments.gateway.metrics import RayMetrics

if TYPE_CHECKING:
    from fastapi import FastAPI
    from ray.serve.handle import DeploymentHandle


logger = logging.getLogger(__name__)


class Gateway:
    """The HTTP ingress. models: handles by model id; embedder, retriever: None where there is none."""

    def __init__(
        self,
        settings: Settings,
        models: "Mapping[str, DeploymentHandle[Any]]",
        embedder: "DeploymentHandle[Any] | None",
        retriever: "DeploymentHandle[Any] | None",
    ) -> None:
        logs.configure(json_lines=True)
        self._settings = settings
        self._backends = Backends(
            models={name: ChatModelClient(handle) for name, handle in models.items()},
            embedder=EmbedderClient(embedder) if embedder is not None else None,
            retriever=RetrieverClient(retriever) if retriever is not None else None,
        )
        self._gate = open_gate(settings)  # one for both: they share the models' queues
        self._lines = build_lines(self._backends, settings, gate=self._gate)

    def __serve_build_asgi_app__(self) -> "FastAPI":
        """Called by Serve on the replica, so that nothing of the app is ever pickled."""
        _refuse_open(self._settings)
        return build_app(self._backends, self._settings, behind_serve=True, metrics=RayMetrics(), gate=self._gate)

    async def answer(self, call: LineCall) -> LineAnswer:
        """One line of a batch, asked by its job through the handle; cancelling it stops the generation."""
        return await self._lines.answer(call)

    def asgi(self) -> "FastAPI":
        """The app over the graph's own handles, for tests in Serve's local testing mode."""
        return build_app(self._backends, self._settings, gate=self._gate)


def _refuse_open(settings: Settings) -> None:
    """What `up` refuses is refused here again, for those who deploy with Serve's own tools, or KubeRay's.

    Raises AuthRequired.
    """
    if settings.auth.mode == "on":
        return
    host = http_host()
    refuse_open(host or DEFAULT_HOST, authenticated=False, origin="Ray Serve")
    logger.warning("auth is off: whoever reaches %s on this machine is an admin", host)
