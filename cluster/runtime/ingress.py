"""Before every HTTP server of Serve's: what a client may not tell it, and what only our HAProxy may.

Serve obeys some headers of whoever asks. `x-request-disconnect-disabled: ?1` makes it generate on for a client
that has gone, and a multiplexed model id makes it prefer replicas. And uvicorn believes what a client on
loopback, as HAProxy is one, writes into `X-Forwarded-For`: FORWARDED_ALLOW_IPS of `ray_node` ends that.

Serve calls `middlewares` in its plain proxy and in every replica that answers HTTP itself, behind HAProxy.
"""

import hmac
from collections.abc import Awaitable, Callable, MutableMapping
from itertools import product
from typing import TYPE_CHECKING, Any

from cluster.config import proxy_secret

if TYPE_CHECKING:
    from starlette.middleware import Middleware

Scope = MutableMapping[str, Any]
App = Callable[[Scope, Any, Any], Awaitable[None]]

CLIENT = "x-heliostat-client"  # `secret address port`, of the client that HAProxy has
DISCONNECT = b"x-request-disconnect-disabled"
# Serve reads it with underscores or hyphens, as other proxies change one into the other.
MODEL = frozenset(
    b"serve" + b"".join((one, b"multiplexed", two, b"model", three, b"id"))
    for one, two, three in product((b"-", b"_"), repeat=3)
)
STRIPPED = MODEL | {DISCONNECT, CLIENT.encode()}


class Ingress:
    """ASGI middleware. secret: that HAProxy's header begins with; None where nobody may say who the client is."""

    def __init__(self, app: App, *, secret: str | None = None) -> None:
        self._app = app
        self._secret = secret.encode() if secret else None

    async def __call__(self, scope: Scope, receive: Any, send: Any) -> None:
        """Handle one connection."""
        if scope["type"] in {"http", "websocket"}:
            headers: list[tuple[bytes, bytes]] = list(scope["headers"])
            kept = [header for header in headers if header[0] not in STRIPPED]
            if len(kept) != len(headers):
                scope["headers"] = kept
                told = [value for name, value in headers if name == CLIENT.encode()]
                client = self._client(told[0]) if len(told) == 1 else None
                if client is not None:
                    scope["client"] = client
        await self._app(scope, receive, send)

    def _client(self, told: bytes) -> tuple[str, int] | None:
        words = told.split(b" ")
        if self._secret is None or len(words) != 3 or not hmac.compare_digest(words[0], self._secret):
            return None
        return words[1].decode("latin-1"), int(words[2])


def middlewares() -> "list[Middleware]":
    """What Serve puts before its HTTP servers, by RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH."""
    from starlette.middleware import Middleware

    return [Middleware(Ingress, secret=proxy_secret())]
