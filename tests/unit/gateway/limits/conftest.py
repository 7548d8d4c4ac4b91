"""An app over the scripted engine behind a gate, asked by whoever the test says."""

from fastapi import FastAPI
from starlette.types import ASGIApp, Receive, Scope, Send

from cluster.settings.tree import Settings
from cluster.types import Priority
from deployments.clients import Backends
from deployments.gateway import errors
from deployments.gateway.anthropic import routes as anthropic
from deployments.gateway.chats import Chats
from deployments.gateway.limits.gate import Admission, Gate
from deployments.gateway.limits.headers import RateLimitHeaders
from deployments.gateway.limits.usage import Estimate
from deployments.gateway.middleware import RequestIds
from deployments.gateway.openai import routes as openai
from deployments.gateway.principal import LOCAL, Limits, Principal, Role
from deployments.gateway.surface import take
from tests.unit.gateway.conftest import LocalEmbedder, LocalModel

HELLO = {"model": "echo", "messages": [{"role": "user", "content": "one two three"}]}


def key(name: str = "key", **limits: int) -> Principal:
    """Somebody with limits of their own."""
    return Principal(id=name, owner=f"owner of {name}", role=Role.USER, limits=Limits(**limits))


def entering(gate: Gate, principal: Principal = LOCAL) -> Admission:
    """A small interactive request at the gate, not yet in."""
    return gate.admit(principal, "echo", priority=Priority.INTERACTIVE, estimate=Estimate(prompt=1))


class Known:
    """ASGI middleware in place of authentication: who asks is in a header, among those the test knows."""

    def __init__(self, app: ASGIApp, *, keys: dict[str, Principal]) -> None:
        self._app = app
        self._keys = keys

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        for name, value in scope["headers"]:
            if name == b"x-key":
                scope.setdefault("state", {})["principal"] = self._keys[value.decode()]
        await self._app(scope, receive, send)


def app_behind(gate: Gate, model: LocalModel, settings: Settings, *keys: Principal) -> FastAPI:
    """The app. keys: who may ask, by the header `x-key`."""
    backends = Backends(models={"echo": model}, embedder=LocalEmbedder())
    app = FastAPI()
    errors.install(app)
    chats = Chats(backends, settings, gate=gate)
    take(app, openai.router(backends, settings, chats))
    take(app, anthropic.router(backends.models, chats))
    app.add_middleware(RateLimitHeaders, limiter=gate.limiter)
    app.add_middleware(Known, keys={principal.id: principal for principal in keys})
    app.add_middleware(RequestIds)
    return app
