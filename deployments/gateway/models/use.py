"""What one request says of the model it uses, and what it learns: how long to keep it, how long it loaded.

`x-heliostat-keep-alive`, or the body of APIs that have a field for it: idle time after which a model that was
loaded for this request goes. Seconds, `10m`, 0 at once, -1 never; a model of the configuration stays anyway.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from contextvars import ContextVar
from dataclasses import dataclass

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from cluster.durations import seconds
from cluster.errors import BadRequest
from cluster.settings.fleet import FleetSettings
from deployments.gateway.errors import internal, respond
from deployments.gateway.models.progress import Progress, Say

KEEP_ALIVE = "x-heliostat-keep-alive"
SHOWN = 64  # characters of a wrong value that an error repeats


@dataclass(slots=True, kw_only=True)
class Use:
    """One request's. keep_alive_s: None says nothing. load_s: how long it has waited for its model to be there.

    progress: what its client sees meanwhile; None where there is none, as for what runs in the background.
    """

    keep_alive_s: float | None = None
    load_s: float = 0.0
    progress: Progress | None = None

    @contextmanager
    def waiting(self, say: Say) -> Iterator[None]:
        """The request waits for its model while this is open. say: how far that is."""
        began = time.monotonic()
        try:
            with nullcontext() if self.progress is None else self.progress.waiting(say):
                yield
        finally:
            self.load_s += time.monotonic() - began


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
    """ASGI middleware that gives each request its own `Use`, reads the header, and tells of loads."""

    def __init__(self, app: ASGIApp, *, fleet: FleetSettings | None = None) -> None:
        fleet = fleet or FleetSettings()
        self._app = app
        self._after_s, self._every_s = fleet.progress_after_s, fleet.progress_every_s

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
        progress = use.progress = Progress(scope, receive, send, after_s=self._after_s, every_s=self._every_s)
        token = _current.set(use)
        try:
            await self._app(scope, progress.receive, progress.send)
        except Exception as error:
            if not progress.begun:
                raise
            await progress.fail(internal(error))
        finally:
            progress.end()
            _current.reset(token)
