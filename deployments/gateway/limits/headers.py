"""OpenAI's rate-limit headers, on every answer to somebody who is limited."""

import math
from contextvars import ContextVar
from dataclasses import dataclass

from starlette.datastructures import MutableHeaders
from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from deployments.gateway.limits.account import Standing
from deployments.gateway.limits.limiter import Limiter
from deployments.gateway.principal import NOBODY, principal_of

HEADERS = (
    "retry-after",
    "retry-after-ms",
    *(f"x-ratelimit-{fact}-{what}" for what in ("requests", "tokens") for fact in ("limit", "remaining", "reset")),
)


@dataclass(slots=True)
class Answer:
    """The answer that is being made: what its request left of the limits, once that is known."""

    standing: Standing | None = None


# Of the connection whose request runs: tasks that it starts see the same one.
ANSWER: ContextVar[Answer | None] = ContextVar("answer", default=None)


def note(standing: Standing) -> None:
    """Remember what is left for the headers of the answer that is being made, where one is."""
    answer = ANSWER.get()
    if answer is not None:
        answer.standing = standing


def duration(seconds: float) -> str:
    """A time as OpenAI writes it: `20ms`, `1.5s`, `6m0s`, `1h0m0s`. Rounded up to a millisecond."""
    milliseconds = math.ceil(seconds * 1000 - 1e-6)
    if milliseconds < 1000:
        return f"{milliseconds}ms" if milliseconds > 0 else "0s"
    minutes, rest = divmod(milliseconds, 60_000)
    told = f"{rest / 1000:.3f}".rstrip("0").rstrip(".") + "s"
    if not minutes:
        return told
    hours, minutes = divmod(minutes, 60)
    return f"{hours}h{minutes}m{told}" if hours else f"{minutes}m{told}"


def headers_of(standing: Standing) -> dict[str, str]:
    """The headers of the limits that there are. What is left is told in whole requests and tokens."""
    limits, headers = standing.limits, {}
    facts = (
        ("requests", limits.requests_per_minute, standing.requests, standing.requests_reset_s),
        ("tokens", limits.tokens_per_minute, standing.tokens, standing.tokens_reset_s),
    )
    for what, limit, left, reset_s in facts:
        if limit is not None:
            headers[f"x-ratelimit-limit-{what}"] = str(limit)
            headers[f"x-ratelimit-remaining-{what}"] = str(max(0, math.floor(left + 1e-6)))
            headers[f"x-ratelimit-reset-{what}"] = duration(reset_s)
    return headers


class RateLimitHeaders:
    """ASGI middleware that writes them. It stands within authentication, so that it knows who asks."""

    def __init__(self, app: ASGIApp, *, limiter: Limiter | None) -> None:
        self._app = app
        self._limiter = limiter

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection."""
        limiter, principal = self._limiter, NOBODY
        if scope["type"] == "http":
            principal = principal_of(HTTPConnection(scope))
        if limiter is None or principal is NOBODY or not limiter.bounds_of(principal):
            await self._app(scope, receive, send)
            return
        answer = Answer()

        async def send_with_limits(message: Message) -> None:
            if message["type"] == "http.response.start":
                standing = answer.standing or await limiter.standing(principal)
                if standing is not None:
                    MutableHeaders(raw=message["headers"]).update(headers_of(standing))
            await send(message)

        token = ANSWER.set(answer)
        try:
            await self._app(scope, receive, send_with_limits)
        finally:
            ANSWER.reset(token)
