"""The FastAPI application: middleware, error handlers and one router an area of the API."""

import asyncio
import logging
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from importlib.metadata import PackageNotFoundError, version

from fastapi import FastAPI
from fastapi.middleware.cors import CORSMiddleware
from fastapi_offline import FastAPIOffline
from sqlalchemy import Engine

from cluster.errors import DatabaseAway
from cluster.settings.tree import Settings
from cluster.stores.database import engine_of
from cluster.stores.idempotency import IdempotentAnswers
from deployments.clients import Backends
from deployments.gateway import errors, health, openapi
from deployments.gateway.anthropic import routes as anthropic
from deployments.gateway.auth import keys, users
from deployments.gateway.auth import routes as auth
from deployments.gateway.auth.directory import Directory, open_directory
from deployments.gateway.auth.middleware import Authentication
from deployments.gateway.cache.build import Caches, open_caches
from deployments.gateway.cache.http import CacheHeaders
from deployments.gateway.chats import Chats
from deployments.gateway.collections import routes as collection_routes
from deployments.gateway.conversations import routes as conversations
from deployments.gateway.documents import routes as documents
from deployments.gateway.embedding_processing import routes as embedding_processing
from deployments.gateway.embedding_processing.desk import Desk as ProcessingDesk
from deployments.gateway.graphql import routes as graphql
from deployments.gateway.graphql.desks import open_desks
from deployments.gateway.idempotency import Idempotency
from deployments.gateway.lab import routes as lab
from deployments.gateway.lab.desks import open_lab
from deployments.gateway.limits.gate import Gate, open_gate
from deployments.gateway.limits.header_limit import HeaderLimit
from deployments.gateway.limits.headers import HEADERS as LIMIT_HEADERS
from deployments.gateway.limits.headers import RateLimitHeaders
from deployments.gateway.metrics import Metrics
from deployments.gateway.middleware import BodyLimit, RequestIds
from deployments.gateway.model_records import routes as model_records
from deployments.gateway.model_records.book import Book, open_book
from deployments.gateway.models import routes as models
from deployments.gateway.models.on_demand import Available
from deployments.gateway.models.use import Uses
from deployments.gateway.ollama import routes as ollama
from deployments.gateway.openai import batches, files
from deployments.gateway.openai import routes as openai
from deployments.gateway.openai.embeddings import embedding_inputs
from deployments.gateway.openai.lines import BackgroundChats, Lines
from deployments.gateway.openai.responses import routes as responses
from deployments.gateway.openai.responses.desk import Desk as ResponseDesk
from deployments.gateway.openai.responses.file_search import open_file_search
from deployments.gateway.openai.vector_stores import routes as vector_stores
from deployments.gateway.openai.vector_stores.desk import Desk as Stores
from deployments.gateway.openai.vector_stores.desk import open_stores
from deployments.gateway.promoted import Promoted
from deployments.gateway.providers import routes as providers
from deployments.gateway.providers.chosen import Chosen
from deployments.gateway.rag import routes as rag
from deployments.gateway.rag.searching import open_searches
from deployments.gateway.routing import routes as events
from deployments.gateway.routing.build import open_router
from deployments.gateway.routing.journey import ROUTE, Journeys
from deployments.gateway.routing.router import Router
from deployments.gateway.surface import take
from deployments.gateway.timing import Timings
from deployments.gateway.web import routes as web

logger = logging.getLogger(__name__)

REMEMBERED_RESPONSES = 256
FORM_BYTES = 1024**2  # what a form may hold around the largest file
EXPOSED = (
    "x-request-id",
    "x-heliostat-timing",
    "x-heliostat-cache",
    ROUTE,
    errors.LEGACY,
    "idempotency-replayed",
    "etag",
    "location",
    "x-should-retry",
    "content-disposition",
    "x-total-rows",
    "x-checksum-sha256",
    "x-warnings",
    "x-heliostat-truncated-inputs",
    *LIMIT_HEADERS,
)


def build_app(
    backends: Backends,
    settings: Settings,
    *,
    behind_serve: bool = False,
    metrics: Metrics | None = None,
    gate: Gate | None = None,
    engine: Engine | None = None,
    router: Router | None = None,
    book: Book | None = None,
) -> FastAPI:
    """The whole HTTP surface over the given backends: served by Serve, tested without it.

    engine: of the database, disposed of when the app stops. router: made over the same gate and database.
    """
    gate = gate or open_gate(settings)
    engine = engine or engine_of(settings.database_url)
    window: deque[float] = deque(maxlen=REMEMBERED_RESPONSES)
    router = router or open_router(settings, gate=gate, engine=engine)
    caches = open_caches(settings, metrics, embedder=backends.embedder, gate=gate)
    book = book or open_book(backends, engine)
    chats = Chats(
        backends, settings, metrics=metrics, caches=caches, gate=gate, router=router, records=book,
        chosen=Chosen(engine), promoted=Promoted(engine),
    )  # fmt: skip
    directory = open_directory(settings, engine)
    desks = open_desks(backends, settings, chats, engine, directory, book=book)
    stores = open_stores(backends, settings, engine, gate)
    app = _bare(engine, gate, caches, router, book)
    _include_models_apis(app, backends, settings, chats, engine)
    take(app, conversations.router(backends, settings, chats, engine, desks.conversations))
    take(app, *providers.routers(backends, settings, chats))
    take(app, health.router(backends, window, circuits=router.breakers.states))
    take(app, events.router(router.events, scaling=router.scaling))
    take(app, model_records.router(book, backends, settings))
    take(app, *lab.routers(open_lab(backends, settings, chats, engine, batches=desks.experiments)))
    take(app, files.router(settings, engine, None if stores is None else stores.forget_file))
    take(app, batches.router(settings, engine, desk=desks.batches), graphql.router(desks))
    take(app, auth.router(settings, directory), users.router(directory), keys.router(directory))
    take(app, web.router())
    _include_optional(app, backends, settings, chats, engine, stores)
    openapi.install(app)
    _wrap_routes(app, settings, gate, chats, engine=engine, window=window)
    # What is added above this line sees only requests whose sender is known, in `principal_of`.
    _authenticate(app, directory, settings.gateway.cors_origins)
    app.add_middleware(HeaderLimit, max_bytes=settings.limits.max_header_bytes)
    app.add_middleware(RequestIds, answered=not behind_serve)
    app.add_middleware(Timings, metrics=metrics)
    return app


def build_lines(
    backends: Backends,
    settings: Settings,
    *,
    gate: Gate | None = None,
    engine: Engine | None = None,
    router: Router | None = None,
    book: Book | None = None,
) -> Lines:
    """What answers the lines of batches: the routes of the endpoints that take them, at background priority."""
    gate, engine = gate or open_gate(settings), engine or engine_of(settings.database_url)
    router = router or open_router(settings, gate=gate, engine=engine)
    book = book or open_book(backends, engine)
    chats = BackgroundChats(
        backends, settings, gate=gate.of_batches(), router=router, records=book,
        chosen=Chosen(engine), promoted=Promoted(engine),
    )  # fmt: skip
    desk = ResponseDesk(settings, chats, engine, search=open_file_search(backends, settings, chats, engine))
    return Lines([openai.router(backends, settings, chats), responses.router(desk)])


def _bare(engine: Engine, gate: Gate, caches: Caches | None, router: Router, book: Book) -> FastAPI:
    """An app without routes: it answers errors, and ends what the whole process shares when it stops."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with AsyncExitStack() as ends:  # the last one first, and each whatever became of those before
            ends.push_async_callback(asyncio.to_thread, engine.dispose)
            ends.push_async_callback(gate.close)
            # After the routers': the answers that those end are decided and counted, too.
            ends.push_async_callback(_stored, router.events.flush, "decisions")
            ends.push_async_callback(_stored, book.close, "requests to models")
            if caches is not None:
                ends.push_async_callback(caches.close)
            yield

    app = FastAPIOffline(  # its pages load nothing from a content network
        title="Heliostat",
        version=_version(),
        summary="Language models, your documents and parameter sweeps behind one endpoint.",
        # A path is right or it is unknown: a redirect would drop a POST's body at many clients.
        redirect_slashes=False,
        lifespan=lifespan,  # around those of the routers: they may store something when they end
    )
    errors.install(app)
    return app


async def _stored(store: Callable[[], Awaitable[None]], what: str) -> None:
    """Store what is still in memory; without a database it is lost, and the log says so."""
    try:
        await store()
    except DatabaseAway as error:
        logger.warning("the last %s are not stored: %s", what, error.message)


def _include_models_apis(
    app: FastAPI, backends: Backends, settings: Settings, chats: Chats, engine: Engine
) -> None:
    """The routes that ask models, in each of the ways that clients know."""
    search = open_file_search(backends, settings, chats, engine)
    take(app, openai.router(backends, settings, chats))
    take(app, responses.router(ResponseDesk(settings, chats, engine, search=search)))
    take(app, anthropic.router(backends.models, chats))
    take(app, ollama.router(backends, settings, chats))
    inputs = embedding_inputs(backends, settings, chats)
    take(app, embedding_processing.router(ProcessingDesk(settings, inputs, engine)))


def _include_optional(
    app: FastAPI, backends: Backends, settings: Settings, chats: Chats, engine: Engine, stores: Stores | None
) -> None:
    """The routes of what a config may leave out: a fleet whose models come and go, and documents."""
    if backends.fleet is not None and isinstance(backends.models, Available):
        take(app, models.router(backends.models, backends.fleet, chats.promoted))
    if stores is not None:
        collections = stores.collections
        take(app, vector_stores.router(stores))
        take(app, documents.router(backends, settings, engine, collections))
        take(app, collection_routes.router(settings, collections))
        searches = open_searches(backends, settings, chats, collections)
        take(app, rag.router(backends, settings, chats, searches))


def _wrap_routes(
    app: FastAPI, settings: Settings, gate: Gate, chats: Chats, *, engine: Engine, window: deque[float]
) -> None:
    """What stands between the routes and whoever is known to ask. The last one added is the outermost."""
    app.add_middleware(Idempotency, answers=IdempotentAnswers(engine), wait_s=chats.timeout_s)
    if chats.caches is not None:
        app.add_middleware(CacheHeaders)
    app.add_middleware(Uses, fleet=settings.fleet)
    app.add_middleware(Journeys)
    app.add_middleware(health.ResponseTimes, window=window)
    app.add_middleware(BodyLimit, max_bytes=settings.limits.max_body_bytes, paths=_uploads(settings))
    app.add_middleware(RateLimitHeaders, limiter=gate.limiter)


def _uploads(settings: Settings) -> dict[str, int]:
    """The longest body, in bytes, where it is not that of all other paths."""
    return {
        documents.UPLOADS: settings.documents.max_file_bytes + FORM_BYTES,
        files.UPLOADS: settings.files.max_bytes + FORM_BYTES,
    }


def _authenticate(app: FastAPI, directory: Directory | None, origins: Sequence[str]) -> None:
    """Ask who sends a request; browsers of the origins may read the answer, a refusal too."""
    authenticator = directory.authenticator if directory else None
    app.add_middleware(Authentication, authenticator=authenticator, origins=origins)
    if origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=list(origins),
            allow_methods=["*"],
            allow_headers=["*"],
            expose_headers=EXPOSED,
        )


def _version() -> str:
    try:
        return version("heliostat-serve")
    except PackageNotFoundError:  # a bare checkout, run without installing it
        return "0+checkout"
