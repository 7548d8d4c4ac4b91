"""A whole graph in this process, and somebody who asks it."""

import httpx
from fastapi import FastAPI
from ray import serve

from cluster.settings.tree import Settings
from deployments.app import build


def app_of(settings: Settings, name: str) -> FastAPI:
    """The gateway of a graph in Serve's local testing mode. name: the graph's own."""
    handle = serve.run(build(settings), name=name, _local_testing_mode=True)
    app: FastAPI = handle.asgi.remote().result()
    return app


def client_of(app: FastAPI, *, host: str = "graph") -> httpx.AsyncClient:
    """A client that is told what goes wrong, as over a socket."""
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    return httpx.AsyncClient(transport=transport, base_url=f"http://{host}", timeout=60)
