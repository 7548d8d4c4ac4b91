"""What happens to every request before a route sees it: an id, a limit on its body, safe headers."""

import asyncio
import re
import uuid
from collections.abc import Mapping
from contextlib import suppress

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from cluster.errors import PayloadTooLarge
from deployments.gateway.auth.areas import SECRET_AREAS, area_of, route_path
from deployments.gateway.errors import respond

ACCEPTED_ID = re.compile(r"[A-Za-z0-9._:-]{1,128}")
FRAMES = "frame-ancestors 'none'"
LINGER_S, IDLE_S = 30.0, 5.0  # in all, and without a byte: what a refused body is waited for
DECLARED_LENGTH = re.compile(r"[0-9]{1,20}")


class RequestIds:
    """Gives each request an id, the client's own `x-request-id` where it is a sane one.

    answered: whether the response carries it from here. Ray Serve adds the header itself, and a client reads
    two as one value with a comma in it.
    """

    def __init__(self, app: ASGIApp, *, answered: bool = True) -> None:
        self._app = app
        self._answered = answered

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        offered = Headers(scope=scope).get("x-request-id", "")
        request_id = offered if ACCEPTED_ID.fullmatch(offered) else uuid.uuid4().hex
        scope.setdefault("state", {})["request_id"] = request_id
        area = area_of(route_path(scope))
        secret = area is not None and area.name in SECRET_AREAS

        async def send_with_id(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(raw=message["headers"])
                if self._answered:
                    headers["x-request-id"] = request_id
                headers["x-content-type-options"] = "nosniff"
                headers["referrer-policy"] = "no-referrer"
                if headers.get("content-type", "").startswith("text/html"):
                    headers["x-frame-options"] = "DENY"
                    headers["content-security-policy"] = _framed_by_nobody(headers)
                if secret:
                    headers["cache-control"] = "no-store"
            await send(message)

        await self._app(scope, receive, send_with_id)


class BodyLimit:
    """Refuses bodies over a size, by their declared length or, where none is declared, while they arrive.

    max_bytes: of any body. paths: other sizes for single paths, such as that of uploads.
    """

    def __init__(self, app: ASGIApp, *, max_bytes: int, paths: Mapping[str, int] | None = None) -> None:
        self._app = app
        self._max_bytes = max_bytes
        self._paths = paths or {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        limit = self._paths.get(scope["path"], self._max_bytes)
        declared = Headers(scope=scope).get("content-length", "0")
        if DECLARED_LENGTH.fullmatch(declared) and int(declared) > limit:
            await _refuse(limit, scope, receive, send)
            return
        received = 0
        answered = ended = False

        async def receive_within() -> Message:
            nonlocal received, ended
            message = await receive()
            ended = not message.get("more_body")
            received += len(message.get("body", b""))
            if received > limit:
                raise _over(limit)
            return message

        async def send_once(message: Message) -> None:
            nonlocal answered
            answered = answered or message["type"] == "http.response.start"
            await send(message)

        try:
            await self._app(scope, receive_within, send_once)
        except PayloadTooLarge:
            if answered:
                raise
            await _refuse(limit, scope, receive, send, wait=not ended)


def _framed_by_nobody(headers: MutableHeaders) -> str:
    """The page's own policy, with that no page of another site may show it in a frame."""
    policy = headers.get("content-security-policy")
    return f"{policy}; {FRAMES}" if policy and "frame-ancestors" not in policy else policy or FRAMES


async def _refuse(limit: int, scope: Scope, receive: Receive, send: Send, *, wait: bool = True) -> None:
    """Answer 413. wait: whether a part of the body is still to come."""
    response = respond(_over(limit), scope["path"], scope.get("state", {}).get("request_id"))
    response.headers["connection"] = "close"  # what is left of the body after a while is never read
    if "100-continue" in Headers(scope=scope).get("expect", ""):
        wait = False  # it asked before it sent anything, and now it will not
    await response(scope, receive, _lingering(receive, send) if wait else send)


def _lingering(receive: Receive, send: Send) -> Send:
    """Sends the whole answer, and ends it when the client has sent its body or has had time to read.

    A connection that is closed while its client sends is reset, and with it goes the answer that lay there unread.
    """

    async def send_and_wait(message: Message) -> None:
        if message["type"] != "http.response.body" or message.get("more_body"):
            await send(message)
            return
        await send({**message, "more_body": True})
        with suppress(TimeoutError):
            async with asyncio.timeout(LINGER_S):
                while (await asyncio.wait_for(receive(), IDLE_S)).get("more_body"):
                    pass
        await send({"type": "http.response.body", "body": b""})

    return send_and_wait


def _over(max_bytes: int) -> PayloadTooLarge:
    hint = "limits.max_body_bytes and documents.max_file_bytes set this"
    return PayloadTooLarge(f"The body is larger than {max_bytes} bytes", hint=hint)
