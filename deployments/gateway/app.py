"""The FastAPI application: middleware, error handlers and one router an area of the API."""

from collections import deque
from importlib.metadata import PackageNotFoundError, version

from fastapi import FastAPI
from fastapi.middleware.cors import CORSMiddleware
from fastapi_offline import FastAPIOffline

from cluster.settings.tree import Settings
from deployments.clients import Backends
from deployments.gateway import documents, errors, experiments, health, openapi
from deployments.gateway.anthropic import routes as anthropic
from deployments.gateway.auth import keys, users
from deployments.gateway.auth import routes as auth
from deployments.gateway.auth.directory import open_directory
from deployments.gateway.auth.middleware import Authentication
from deployments.gateway.cache.build import open_caches
from deployments.gateway.cache.http import CacheHeaders
from deployments.gateway.chats import Chats
from deployments.gateway.conversations import routes as conversations
from deployments.gateway.idempotency import Idempotency
from deployments.gateway.limits.gate import Gate, open_gate
from deployments.gateway.limits.header_limit import HeaderLimit
from deployments.gateway.limits.headers import HEADERS as LIMIT_HEADERS
from deployments.gateway.limits.headers import RateLimitHeaders
from deployments.gateway.metrics import Metrics
from deployments.gateway.middleware import BodyLimit, RequestIds
from deployments.gateway.openai import batches, files
from deployments.gateway.openai import routes as openai
from deployments.gateway.openai.lines import BackgroundChats, Lines
from deployments.gateway.openai.responses import routes as responses
from deployments.gateway.timing import Timings

REMEMBERED_RESPONSES = 256
FORM_BYTES = 1024**2  # what a form may hold around the largest file


def build_app(
    backends: Backends,
    settings: Settings,
    *,
    behind_serve: bool = False,
    metrics: Metrics | None = None,
    gate: Gate | None = None,
) -> FastAPI:
    """The whole HTTP surface over the given backends: served by Serve, tested without it."""
    gate = gate or open_gate(settings)
    app = FastAPIOffline(  # its pages load nothing from a content network
        title="Heliostat",
        version=_version(),
        summary="Language models, your documents and parameter sweeps behind one endpoint.",
        # A path is right or it is unknown: a redirect would drop a POST's body at many clients.
        redirect_slashes=False,
    )
    errors.install(app)
    window: deque[float] = deque(maxlen=REMEMBERED_RESPONSES)
    chats = Chats(backends, settings, metrics=metrics, caches=open_caches(settings, metrics), gate=gate)
    directory = open_directory(settings)
    app.include_router(openai.router(backends, settings, chats))
    app.include_router(responses.router(settings, chats))
    app.include_router(anthropic.router(backends.models, chats))
    app.include_router(conversations.router(backends, settings, chats))
    app.include_router(health.router(backends, window))
    app.include_router(experiments.router(settings, backends.models))
    app.include_router(files.router(settings))
    app.include_router(batches.router(settings))
    app.include_router(auth.router(settings, directory))
    app.include_router(users.router(directory))
    app.include_router(keys.router(directory))
    if backends.retriever is not None:
        app.include_router(documents.router(backends, settings, gate=gate))
    openapi.install(app)
    # The last one added is the outermost.
    app.add_middleware(Idempotency, url=settings.database_url, wait_s=chats.timeout_s)
    if chats.caches is not None:
        app.add_middleware(CacheHeaders)
    app.add_middleware(health.ResponseTimes, window=window)
    uploads = {
        documents.UPLOADS: settings.documents.max_file_bytes + FORM_BYTES,
        files.UPLOADS: settings.files.max_bytes + FORM_BYTES,
    }
    app.add_middleware(BodyLimit, max_bytes=settings.limits.max_body_bytes, paths=uploads)
    app.add_middleware(RateLimitHeaders, limiter=gate.limiter)
    # What is added above this line sees only requests whose sender is known, in `principal_of`.
    app.add_middleware(
        Authentication,
        authenticator=directory.authenticator if directory else None,
        origins=settings.gateway.cors_origins,
    )
    if settings.gateway.cors_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=list(settings.gateway.cors_origins),
            allow_methods=["*"],
            allow_headers=["*"],
            expose_headers=[
                "x-request-id",
                "x-heliostat-timing",
                "x-heliostat-cache",
                "idempotency-replayed",
                *LIMIT_HEADERS,
            ],
        )
    app.add_middleware(HeaderLimit, max_bytes=settings.limits.max_header_bytes)
    app.add_middleware(RequestIds, answered=not behind_serve)
    app.add_middleware(Timings, metrics=metrics)
    return app


def build_lines(backends: Backends, settings: Settings, *, gate: Gate | None = None) -> Lines:
    """What answers the lines of batches: the routes of the endpoints that take them, at background priority."""
    chats = BackgroundChats(backends, settings, gate=(gate or open_gate(settings)).of_batches())
    return Lines([openai.router(backends, settings, chats), responses.router(settings, chats)])


def _version() -> str:
    try:
        return version("heliostat-serve")
    except PackageNotFoundError:  # a bare checkout, run without installing it
        return "0+checkout"
