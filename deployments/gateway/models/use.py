"""What one request says of the model it uses, and what it learns: how long to keep it, how long it loaded.

`x-heliostat-keep-alive`, or the body of APIs that have a field for it: idle time after which a model that was
loaded for this request goes. Seconds, `10m`, 0 at once, -1 never; a model of the configuration stays anyway.
"""

from contextvars import ContextVar
from dataclasses import dataclass

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from cluster.durations import seconds
from cluster.errors import BadRequest
from deployments.gateway.errors import respond

KEEP_ALIVE = "x-heliostat-keep-alive"
SHOWN = 64  # characters of a wrong value that an error repeats


@dataclass(slots=True, kw_only=True)
class Use:
    """One request's. keep_alive_s: None says nothing. load_s: how long it has waited for its model to be there."""

    keep_alive_s: float | None = None
    load_s: float = 0.0


_current: ContextVar[Use | None] = ContextVar("heliostat_use", default=None)


def current() -> Use:
    """The use of the request that this context answers; outside of one, one that says nothing."""
    return _current.get() or Use()


def said(keep_alive: float | str | None) -> Use:
    """What the request's body says, which goes before its header; None is nothing. Raises as `span`."""
    use = _current.get()
    if use is None:
        use = Use()
        _current.set(use)
    if keep_alive is not None:
        use.keep_alive_s = span(keep_alive)
    return use


def span(text: float | str) -> float:
    """Seconds that a model is to be kept. Raises ValueError, saying what would be right."""
    try:
        return seconds(text)
    except ValueError:
        raise ValueError("a span of time: seconds, 10m, 0 for not at all, -1 for ever") from None


class Uses:
    """ASGI middleware that gives each request its own `Use`, and reads the header."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        text = Headers(scope=scope).get(KEEP_ALIVE)
        try:
            use = Use(keep_alive_s=None if text is None else span(text))
        except ValueError as error:
            problem = BadRequest(f"{KEEP_ALIVE} must be {error}, not {text[:SHOWN]!r}", param=KEEP_ALIVE)  # type: ignore[index]
            await respond(problem, scope["path"], scope.get("state", {}).get("request_id"))(scope, receive, send)
            return
        token = _current.set(use)
        try:
            await self._app(scope, receive, send)
        finally:
            _current.reset(token)
