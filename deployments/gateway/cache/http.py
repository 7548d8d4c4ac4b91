"""What HTTP says of the cache: `Cache-Control` of a request, `x-heliostat-cache` of its answer.

`no-store`: neither looked up nor stored. `no-cache`: made anew, and stored. An answer that could not have come
from the cache has no header. `semantic`: it was the answer to a question that is near enough.
"""

from contextvars import ContextVar

from starlette.datastructures import Headers
from starlette.types import Receive, Scope, Send

from deployments.gateway.http_only import HttpOnly, with_header

HEADER = "x-heliostat-cache"
HIT, MISS, SEMANTIC = "hit", "miss", "semantic"


class Visit:
    """One request to a gateway with a cache. outcome: `hit`, `miss` or `semantic`; None where it was not asked."""

    __slots__ = ("lookup", "outcome", "store")

    def __init__(self, cache_control: str = "") -> None:
        asked = {directive.strip().lower() for directive in cache_control.split(",")}
        self.store = "no-store" not in asked
        self.lookup = self.store and "no-cache" not in asked
        self.outcome: str | None = None


_current: ContextVar[Visit | None] = ContextVar("heliostat_cache_visit", default=None)


def visit() -> Visit:
    """The visit of the request that this context answers; outside of one, a new visit that asks for nothing."""
    return _current.get() or Visit()


class CacheHeaders(HttpOnly):
    """ASGI middleware that reads and writes the headers."""

    async def answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        this = Visit(Headers(scope=scope).get("cache-control", ""))
        token = _current.set(this)
        try:
            await self._app(scope, receive, with_header(send, HEADER, lambda: this.outcome))
        finally:
            _current.reset(token)
