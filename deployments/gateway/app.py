"""The FastAPI application: middleware, error handlers and one router an area of the API."""

from collections import deque
from importlib.metadata import PackageNotFoundError, version

from fastapi import FastAPI
from fastapi.middleware.cors import CORSMiddleware
from fastapi_offline import FastAPIOffline

from cluster.settings import Settings
from deployments.clients import Backends
from deployments.gateway import documents, errors, experiments, health
from deployments.gateway.chats import Chats
from deployments.gateway.middleware import BodyLimit, RequestIds
from deployments.gateway.openai import routes as openai

REMEMBERED_RESPONSES = 256
FORM_BYTES = 1024**2  # what a form may hold around the largest file


def build_app(backends: Backends, settings: Settings, *, behind_serve: bool = False) -> FastAPI:
    """The whole HTTP surface over the given backends: served by Serve, tested without it."""
    app = FastAPIOffline(  # its pages load nothing from a content network
        title="Heliostat",
        version=_version(),
        summary="Language models, your documents and parameter sweeps behind one endpoint.",
        # A path is right or it is unknown: a redirect would drop a POST's body at many clients.
        redirect_slashes=False,
    )
    errors.install(app)
    window: deque[float] = deque(maxlen=REMEMBERED_RESPONSES)
    chats = Chats(backends, settings)
    app.include_router(openai.router(backends, settings, chats))
    app.include_router(health.router(backends, window))
    app.include_router(experiments.router(settings, backends.models))
    if backends.retriever is not None:
        app.include_router(documents.router(backends, settings))
    # The last one added is the outermost.
    app.add_middleware(health.ResponseTimes, window=window)
    uploads = {documents.UPLOADS: settings.documents.max_file_bytes + FORM_BYTES}
    app.add_middleware(BodyLimit, max_bytes=settings.limits.max_body_bytes, paths=uploads)
    if settings.gateway.cors_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=list(settings.gateway.cors_origins),
            allow_methods=["*"],
            allow_headers=["*"],
            expose_headers=["x-request-id"],
        )
    app.add_middleware(RequestIds, answered=not behind_serve)
    return app


def _version() -> str:
    try:
        return version("heliostat-serve")
    except PackageNotFoundError:  # a bare checkout, run without installing it
        return "0+checkout"
