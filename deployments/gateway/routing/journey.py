"""What the router knows of the HTTP request that this context answers: its id, how long it waits, who answered.

`x-heliostat-timeout-ms`, or Serve's own `x-request-timeout-seconds`: the client's deadline. It shortens
`limits.generation_timeout_ms`, never lengthens it; past it the generation is stopped and the answer is 504.
`x-stainless-read-timeout`, which the openai and anthropic clients send by themselves: how long their caller
waits for the next byte. Such a client hangs up by itself, so nothing is cut for it; but it is known that a place
in a queue that comes later than that helps nobody.
`x-session-id`: what requests have in common that a model with `replicas.routing: session` sends to one replica.
`x-heliostat-route`, of an answer: `asked -> answered; reason=…` where another model answered than the asked.
"""

import asyncio
import math
from collections.abc import Awaitable, Mapping
from contextvars import ContextVar
from typing import TypeVar

from starlette.datastructures import Headers
from starlette.types import Receive, Scope, Send

from cluster.errors import BadRequest, DeadlineExceeded, GenerationTimeout
from deployments.gateway.errors import respond
from deployments.gateway.http_only import HttpOnly, with_header

Answer = TypeVar("Answer")

TIMEOUT_MS = "x-heliostat-timeout-ms"
TIMEOUT_S = "x-request-timeout-seconds"
SESSION = "x-session-id"  # Serve's own name for it
PATIENCE = ("x-stainless-read-timeout", "x-stainless-timeout")
ROUTE = "x-heliostat-route"
# Serve itself cuts at x-request-timeout-seconds, with plain text: a little earlier is ours.
AHEAD_S, AHEAD = 0.1, 0.1  # seconds, or that part of the time where it is less


class Journey:
    """One request on its way. deadline: on the loop's clock, as said in `header`; None where nobody said one.

    patience: the moment after which nobody reads the first byte. route: who answered in whose place, and why.
    session: what it belongs to, where it says so.
    """

    __slots__ = ("_given_s", "_header", "deadline", "patience", "request_id", "route", "session")

    def __init__(self, request_id: str | None = None) -> None:
        self.request_id = request_id
        self.deadline: float | None = None
        self.patience: float | None = None
        self.route: str | None = None
        self.session: str | None = None
        self._given_s = 0.0
        self._header = TIMEOUT_MS

    def read(self, headers: Mapping[str, str], now: float) -> None:
        """What the headers say of time. Raises BadRequest, naming the header."""
        for name, unit_s in ((TIMEOUT_MS, 0.001), (TIMEOUT_S, 1.0)):
            said = headers.get(name)
            if said is None:
                continue
            given_s = _positive(name, said) * unit_s
            allowed_s = given_s if name == TIMEOUT_MS else given_s - min(AHEAD_S, AHEAD * given_s)
            if self.deadline is None or now + allowed_s < self.deadline:
                self.deadline, self._given_s, self._header = now + allowed_s, given_s, name
        self.session = headers.get(SESSION)
        self.patience = self.deadline
        for name in PATIENCE:
            seconds = _seconds(headers.get(name, ""))
            if seconds is not None and (self.patience is None or now + seconds < self.patience):
                self.patience = now + seconds

    def late(self) -> DeadlineExceeded:
        """The error of a request whose own deadline has passed."""
        message = f"The generation took longer than the {self._given_s:g} s that {self._header} allows"
        return DeadlineExceeded(message, hint="ask for fewer tokens, or allow more time")

    def end(self) -> None:
        """The request is answered: what goes on in the background after it has no deadline."""
        self.deadline = self.patience = None


_current: ContextVar[Journey | None] = ContextVar("heliostat_journey", default=None)


def current() -> Journey | None:
    """The journey of the request that this context answers; None outside of one."""
    return _current.get()


def begin(request_id: str) -> None:
    """What this task asks for from now on is a request of its own, such as one of several on a WebSocket."""
    _current.set(Journey(request_id))


def request_id() -> str | None:
    """The id of the request that this context answers."""
    journey = _current.get()
    return None if journey is None else journey.request_id


def session() -> str | None:
    """What the request that this context answers belongs to; None where nobody said so."""
    journey = _current.get()
    return None if journey is None else journey.session


def belongs_to(session: str) -> None:
    """The request that this context answers is a part of that, unless its client has said of what."""
    journey = _current.get()
    if journey is not None and journey.session is None:
        journey.session = session


def within(timeout_s: float) -> float:
    """Seconds that the generation may take: what is left until the client's deadline, or the given limit."""
    journey = _current.get()
    if journey is None or journey.deadline is None:
        return timeout_s
    return min(timeout_s, max(0.0, journey.deadline - asyncio.get_running_loop().time()))


def patience_s() -> float | None:
    """Seconds after which nobody waits for a first byte any more; None where nobody said so."""
    journey = _current.get()
    if journey is None or journey.patience is None:
        return None
    return journey.patience - asyncio.get_running_loop().time()


def late(timeout_s: float) -> GenerationTimeout:
    """The error of a generation that took too long: longer than its client allows, or than `timeout_s`."""
    journey = _current.get()
    if journey is not None and journey.deadline is not None:
        moment = asyncio.get_running_loop().time() + 0.001  # its timers may end a little early
        if journey.deadline <= moment:
            return journey.late()
    return GenerationTimeout(
        f"The generation took longer than {timeout_s:g} s", hint="ask for fewer tokens, or raise the limit"
    )


async def in_time(work: Awaitable[Answer], timeout_s: float) -> Answer:
    """What the work returns, within the client's deadline or the limit. Raises as `late` says."""
    timeout_s = within(timeout_s)
    try:
        async with asyncio.timeout(timeout_s):
            return await work
    except TimeoutError:
        raise late(timeout_s) from None


class Journeys(HttpOnly):
    """ASGI middleware that reads and writes the headers. Request ids must be given outside of it."""

    async def answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        request_id = scope.get("state", {}).get("request_id")
        journey = Journey(request_id)
        try:
            journey.read(Headers(scope=scope), asyncio.get_running_loop().time())
        except BadRequest as error:
            await respond(error, scope["path"], request_id)(scope, receive, send)
            return
        token = _current.set(journey)
        try:
            await self._app(scope, receive, with_header(send, ROUTE, lambda: journey.route))
        finally:
            journey.end()
            _current.reset(token)


def _positive(name: str, said: str) -> float:
    number = _seconds(said)
    if number is None or number <= 0:
        raise BadRequest(f"{name} must be a number above 0, not {said[:64]!r}", param=name)
    return number


def _seconds(said: str) -> float | None:
    """A plain number; None for anything else, such as a client's `not given`."""
    try:
        number = float(said)
    except ValueError:
        return None
    return number if math.isfinite(number) else None
