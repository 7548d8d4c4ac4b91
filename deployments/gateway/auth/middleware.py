"""Authentication before every route, of HTTP and of WebSockets."""

import asyncio
import contextlib
from collections.abc import Collection
from dataclasses import dataclass

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from cluster.errors import HeliostatError, InvalidApiKey
from deployments.gateway.auth.areas import SAYS_LATER, SOCKET, is_open, refusal, route_path
from deployments.gateway.auth.authenticator import Authenticator, Identity
from deployments.gateway.auth.guard import ASKER, Asker
from deployments.gateway.auth.origins import check_local_host, check_origin
from deployments.gateway.errors import respond
from deployments.gateway.principal import LOCAL, NOBODY

POLICY_VIOLATION = 1008  # a WebSocket's close code
NO_LONGER = "credentials are no longer valid"
SUBPROTOCOL = "heliostat"
TOKEN_SUBPROTOCOL = "heliostat-token."  # noqa: S105 - what comes before a token
"""A browser cannot set headers on a WebSocket: it offers `heliostat` and `heliostat-token.<token>`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Presented:
    """What a request's headers say of who sends it. offered: the credential came as a subprotocol."""

    credential: str | None
    origin: str | None
    host: str
    offered: bool = False


class Authentication:
    """Finds out who asks and whether they may; a route sees only requests that may reach it.

    authenticator: None where authentication is off, which makes everybody LOCAL. origins: of pages that may
    ask besides this server's own. watch_s: how often an open WebSocket's credentials are looked at, and those of
    a stream (guard.py).
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        authenticator: Authenticator | None,
        origins: Collection[str] = (),
        watch_s: float = 2.5,
    ) -> None:
        self._app = app
        self._authenticator = authenticator
        self._origins = frozenset(origins)
        self._watch_s = watch_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection."""
        if scope["type"] not in {"http", "websocket"}:
            await self._app(scope, receive, send)
            return
        presented = _presented(scope)
        try:
            identity = await self._admit(scope, presented)
        except HeliostatError as error:
            await _refuse(error, scope, receive, send)
            return
        state = scope.setdefault("state", {})
        state["principal"] = identity.principal
        state["identity"] = identity
        authenticator, credential = self._authenticator, presented.credential
        if authenticator is None or credential is None:
            await self._app(scope, receive, send)
            return
        asker = Asker(confirm=lambda: authenticator.confirm(credential, identity), every_s=self._watch_s)
        token = ASKER.set(asker)
        try:
            if scope["type"] == "http":
                await self._app(scope, receive, send)
            else:
                await self._serve_socket(presented, credential, authenticator, scope, receive, send)
        finally:
            ASKER.reset(token)

    async def _serve_socket(
        self,
        presented: Presented,
        credential: str,
        authenticator: Authenticator,
        scope: Scope,
        receive: Receive,
        send: Send,
    ) -> None:
        if presented.offered:
            scope["subprotocols"] = [
                name for name in scope["subprotocols"] if not name.startswith(TOKEN_SUBPROTOCOL)
            ]
            send = _answering(send, scope["subprotocols"])
        await self._while_valid(credential, authenticator, scope, receive, send)

    async def _admit(self, scope: Scope, presented: Presented) -> Identity:
        """Who asks; nobody, on a path that is open to all. Raises InvalidApiKey, PermissionDenied and its kind."""
        method = scope["method"] if scope["type"] == "http" else SOCKET
        path = route_path(scope)
        check_origin(presented.origin, presented.host, self._origins)
        if self._authenticator is None:
            check_local_host(presented.host)
            return Identity(principal=LOCAL)
        if is_open(method, path):
            return Identity(principal=NOBODY)
        if presented.credential is None:
            if method == SOCKET and path in SAYS_LATER:
                return Identity(principal=NOBODY)
            raise InvalidApiKey(
                "No API key was sent", hint="Authorization: Bearer sk-heliostat-…, or a token of /api/v1/auth/login"
            )
        identity = await self._authenticator.identify(presented.credential)
        refused = refusal(identity.principal, method, path)
        if refused is not None:
            raise refused
        return identity

    async def _while_valid(
        self, credential: str, authenticator: Authenticator, scope: Scope, receive: Receive, send: Send
    ) -> None:
        """Serve a WebSocket until it ends or its credentials do: a person who is shut out is out in seconds."""
        served = asyncio.ensure_future(self._app(scope, receive, send))
        watch = asyncio.ensure_future(self._until_invalid(credential, authenticator))
        try:
            await asyncio.wait({served, watch}, return_when=asyncio.FIRST_COMPLETED)
            if served.done():
                served.result()
                return
            served.cancel()
            await asyncio.wait({served})
            # Whatever the route sent last, a second close or one after a hang-up has nobody to hear it.
            with contextlib.suppress(RuntimeError, OSError):
                await send({"type": "websocket.close", "code": POLICY_VIOLATION, "reason": NO_LONGER})
        finally:
            for task in (served, watch):
                task.cancel()
            await asyncio.wait({served, watch})

    async def _until_invalid(self, credential: str, authenticator: Authenticator) -> None:
        while True:
            await asyncio.sleep(self._watch_s)
            try:
                await authenticator.identify(credential)
            except HeliostatError as error:
                if not error.retryable:
                    return


def _presented(scope: Scope) -> Presented:
    """The headers that matter, in one pass. `Authorization` wins over `x-api-key`, and that over `api-key`."""
    found: dict[bytes, str] = {}
    for name, value in scope["headers"]:
        if name in _READ and name not in found:
            found[name] = value.decode("latin-1")
    kind, _, bearer = found.get(b"authorization", "").partition(" ")
    credential = bearer.strip() if kind.lower() == "bearer" else ""
    credential = credential or found.get(b"x-api-key", "").strip() or found.get(b"api-key", "").strip()
    origin, host = found.get(b"origin"), found.get(b"host", "")
    if not credential and scope["type"] == "websocket":
        offers = (name for name in scope.get("subprotocols", ()) if name.startswith(TOKEN_SUBPROTOCOL))
        credential = next(offers, "").removeprefix(TOKEN_SUBPROTOCOL)
        return Presented(credential=credential or None, origin=origin, host=host, offered=bool(credential))
    return Presented(credential=credential or None, origin=origin, host=host)


_READ = frozenset({b"authorization", b"x-api-key", b"api-key", b"origin", b"host"})


def _answering(send: Send, offered: list[str]) -> Send:
    """A browser breaks a connection for which it offered subprotocols and none was chosen."""

    async def send_chosen(message: Message) -> None:
        if message["type"] == "websocket.accept" and not message.get("subprotocol") and SUBPROTOCOL in offered:
            message = {**message, "subprotocol": SUBPROTOCOL}
        await send(message)

    return send_chosen


async def _refuse(error: HeliostatError, scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "websocket":
        await receive()  # websocket.connect
        if "websocket.http.response" not in (scope.get("extensions") or {}):
            # The server answers the handshake with 403, the only status that it knows.
            await send({"type": "websocket.close", "code": POLICY_VIOLATION, "reason": error.code})
            return
    response = respond(error, route_path(scope), scope.get("state", {}).get("request_id"))
    await response(scope, receive, send)
