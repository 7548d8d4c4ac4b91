"""The gateway as a Serve deployment: a shell that makes clients of handles and an app of clients."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from cluster import logs
from cluster.settings import Settings
from deployments.clients import Backends, ChatModelClient, EmbedderClient, RetrieverClient
from deployments.gateway.app import build_app

if TYPE_CHECKING:
    from fastapi import FastAPI
    from ray.serve.handle import DeploymentHandle


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

    def __serve_build_asgi_app__(self) -> "FastAPI":
        """Called by Serve on the replica, so that nothing of the app is ever pickled."""
        return build_app(self._backends, self._settings, behind_serve=True)

    def asgi(self) -> "FastAPI":
        """The app over the graph's own handles, for tests in Serve's local testing mode."""
        return build_app(self._backends, self._settings)
