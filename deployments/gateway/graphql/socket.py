"""`/graphql` as a WebSocket: the protocol graphql-transport-ws.

    client → connection_init, subscribe, complete, ping      server → connection_ack, next, error, complete, pong

Who sends no credentials with the handshake sends them in connection_init, as `{"authorization": "Bearer …"}`.
Close codes are the protocol's: 4400 what cannot be understood, 4401 not acknowledged yet, 4403 credentials that
are unknown or have ended, 4408 no connection_init in time, 4409 an id that is in use, 4429 a second one.
"""

import asyncio
import contextlib
import uuid
from contextlib import aclosing
from functools import partial
from typing import Any

from graphql import OperationType
from pydantic_core import from_json
from starlette.websockets import WebSocket, WebSocketDisconnect

from cluster.errors import BadRequest, HeliostatError, InvalidApiKey, Overloaded
from deployments.gateway.auth.areas import SOCKET, refusal
from deployments.gateway.auth.guard import ASKER, Asker, Guard
from deployments.gateway.errors import internal
from deployments.gateway.graphql import envelope
from deployments.gateway.graphql.asking import Asking
from deployments.gateway.graphql.desks import Desks
from deployments.gateway.graphql.operation import Refused, prepared
from deployments.gateway.graphql.wire import OperationRequest
from deployments.gateway.parsing import parsed
from deployments.gateway.principal import NOBODY, principal_of
from deployments.gateway.routing import journey

PROTOCOL = "graphql-transport-ws"
LONGEST_ID = 128  # characters of an operation's id
BUSY_RETRY_S = 1.0
BAD, UNKNOWN, FORBIDDEN, NO_PROTOCOL, LATE, TWICE, AGAIN = 4400, 4401, 4403, 4406, 4408, 4409, 4429
RETRY = 1013  # the registered "try again later"


class _Close(Exception):
    """The connection is to be closed."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(code, reason)
        self.code = code
        self.reason = reason


class Socket:
    """One connection. watch_s: how often credentials that came in connection_init are looked at."""

    def __init__(self, desks: Desks, websocket: WebSocket, *, watch_s: float) -> None:
        self._desks = desks
        self._websocket = websocket
        self._limits = desks.settings.graphql
        self._longest = desks.settings.limits.max_body_bytes
        self._watch_s = watch_s
        self._running: dict[str, asyncio.Task[None]] = {}

    async def serve(self) -> None:
        """Talk until one side has had enough."""
        if PROTOCOL not in self._websocket.scope.get("subprotocols", ()):
            await self._websocket.close(NO_PROTOCOL, f"offer the subprotocol {PROTOCOL}")
            return
        await self._websocket.accept(PROTOCOL)
        try:
            asker = await self._begun()
            token = ASKER.set(asker)
            try:
                await self._talk(asker)
            finally:
                ASKER.reset(token)
        except _Close as close:
            await self._close(close)
        except WebSocketDisconnect:
            pass
        finally:
            await self._stop()

    async def _begun(self) -> Asker | None:
        """Wait for connection_init, and find out who asks. Raises _Close."""
        try:
            async with asyncio.timeout(self._limits.init_timeout_s):
                message = await self._received()
                while message["type"] == "ping":
                    await self._send({"type": "pong"})
                    message = await self._received()
        except TimeoutError:
            raise _Close(LATE, "Connection initialisation timeout") from None
        if message["type"] != "connection_init":
            raise _Close(UNKNOWN, "Unauthorized")
        payload = message.get("payload")
        if payload is not None and not isinstance(payload, dict):
            raise _Close(BAD, "connection_init's payload must be an object")
        asker = await self._identified(payload or {})
        await self._send({"type": "connection_ack"})
        return asker

    async def _identified(self, payload: dict[str, Any]) -> Asker | None:
        """Who asks, from the handshake or from connection_init; None where nothing can end their rights."""
        directory = self._desks.directory
        if directory is None or principal_of(self._websocket) is not NOBODY:
            return ASKER.get()
        credential = _credential(payload)
        if credential is None:
            raise _Close(FORBIDDEN, InvalidApiKey.code)
        authenticator = directory.authenticator
        try:
            identity = await authenticator.identify(credential)
            if (refused := refusal(identity.principal, SOCKET, envelope.PATH)) is not None:
                raise refused
        except HeliostatError as error:
            raise _Close(RETRY if error.retryable else FORBIDDEN, error.code) from None
        self._websocket.state.principal = identity.principal
        self._websocket.state.identity = identity
        return Asker(confirm=partial(authenticator.confirm, credential, identity), every_s=self._watch_s)

    async def _talk(self, asker: Asker | None) -> None:
        """Do what the client says. Raises _Close; WebSocketDisconnect once it has gone."""
        guard = Guard(lambda: limit.reschedule(asyncio.get_running_loop().time()), asker=asker)
        limit = asyncio.timeout_at(None)
        try:
            async with limit:
                with guard:
                    while True:
                        await self._heed(await self._received())
        except TimeoutError:
            if guard.lost is None:
                raise
            lost = guard.lost
        for identity in list(self._running):
            with contextlib.suppress(RuntimeError, WebSocketDisconnect):
                await self._send(_error(identity, [envelope.of(lost, None)]))
        raise _Close(FORBIDDEN, lost.code)

    async def _heed(self, message: dict[str, Any]) -> None:
        kind = message["type"]
        if kind == "subscribe":
            await self._subscribe(message)
        elif kind == "complete":
            task = self._running.pop(_id(message), None)
            if task is not None:
                task.cancel()
        elif kind == "ping":
            await self._send({"type": "pong"})
        elif kind == "connection_init":
            raise _Close(AGAIN, "Too many initialisation requests")
        elif kind != "pong":
            raise _Close(BAD, f"No message has the type {kind[:32]!r}")

    async def _subscribe(self, message: dict[str, Any]) -> None:
        identity, payload = _id(message), message.get("payload")
        if not isinstance(payload, dict):
            raise _Close(BAD, "subscribe needs a payload")
        if identity in self._running:
            raise _Close(TWICE, f"Subscriber for {identity} already exists"[:120])
        request_id = uuid.uuid4().hex
        if len(self._running) >= self._limits.max_operations:
            busy = Overloaded(
                f"{len(self._running)} operations run on this connection already",
                hint="graphql.max_operations sets this",
                retry_after_s=BUSY_RETRY_S,
            )
            await self._send(_error(identity, [envelope.of(busy, request_id)]))
            return
        try:
            wanted = parsed(OperationRequest, {name: said for name, said in payload.items() if said is not None})
        except BadRequest as error:
            await self._send(_error(identity, [envelope.of(error, request_id)]))
            return
        asked = Asking(desks=self._desks, connection=self._websocket, request_id=request_id)
        self._running[identity] = asyncio.create_task(self._run(identity, wanted, asked))

    async def _run(self, identity: str, wanted: OperationRequest, asked: Asking) -> None:
        """An operation from its first word to its last."""
        journey.begin(asked.request_id)
        with contextlib.suppress(RuntimeError, WebSocketDisconnect):  # nobody is left to hear it
            try:
                last = await self._told(identity, wanted, asked)
            except Refused as refused:
                last = _error(identity, refused.errors)
            except HeliostatError as error:
                last = _error(identity, [envelope.of(error, asked.request_id)])
            except (WebSocketDisconnect, asyncio.CancelledError):
                raise
            except Exception as error:  # noqa: BLE001 - one operation's mistake is not the others'
                last = _error(identity, [envelope.of(internal(error), asked.request_id)])
            if self._running.get(identity) is asyncio.current_task():
                del self._running[identity]  # the id is free before its last word is sent
                await self._send(last)

    async def _told(self, identity: str, wanted: OperationRequest, asked: Asking) -> dict[str, Any]:
        """Run it, and send what it tells; its last word is returned."""
        operation = await prepared(wanted, self._limits, asked.request_id)
        if operation.kind is OperationType.SUBSCRIPTION:
            async with aclosing(operation.events(asked)) as events:
                async for event in events:
                    await self._send({"id": identity, "type": "next", "payload": event})
        else:
            answer = await operation.answer(asked)
            if "data" not in answer:
                raise Refused(answer["errors"])
            await self._send({"id": identity, "type": "next", "payload": answer})
        return {"id": identity, "type": "complete"}

    async def _received(self) -> dict[str, Any]:
        """The next message. Raises _Close for what is none."""
        event = await self._websocket.receive()
        if event["type"] == "websocket.disconnect":
            raise WebSocketDisconnect(event.get("code", 1005))
        text = event.get("text")
        if text is None:
            raise _Close(BAD, "Messages are text")
        if len(text) > self._longest:
            raise _Close(BAD, "The message is too large")
        try:
            message = from_json(text, allow_inf_nan=False)
        except ValueError:
            raise _Close(BAD, "The message is not valid JSON") from None
        if not isinstance(message, dict) or not isinstance(message.get("type"), str):
            raise _Close(BAD, "A message is an object with a type")
        return message

    async def _send(self, message: dict[str, Any]) -> None:
        await self._websocket.send_text(envelope.dumped(message).decode())

    async def _close(self, close: _Close) -> None:
        with contextlib.suppress(RuntimeError, OSError, WebSocketDisconnect):
            await self._websocket.close(close.code, close.reason)

    async def _stop(self) -> None:
        """End all that runs, and wait until it has."""
        tasks = list(self._running.values())
        self._running.clear()
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)


def _error(identity: str, errors: list[dict[str, Any]]) -> dict[str, Any]:
    return {"id": identity, "type": "error", "payload": errors}


def _id(message: dict[str, Any]) -> str:
    identity = message.get("id")
    if not isinstance(identity, str) or not 0 < len(identity) <= LONGEST_ID:
        raise _Close(BAD, f"{message['type']} needs an id of 1 to {LONGEST_ID} characters")
    return identity


def _credential(payload: dict[str, Any]) -> str | None:
    """The key or token of a payload, under the names that the handshake's headers have."""
    said = {name.lower(): text.strip() for name, text in payload.items() if isinstance(text, str)}
    kind, _, bearer = said.get("authorization", "").partition(" ")
    return (
        (bearer.strip() if kind.lower() == "bearer" else "") or said.get("x-api-key") or said.get("api-key") or None
    )
