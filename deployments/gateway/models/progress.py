"""What a client sees while its model loads: comments in the stream that it has asked for.

Server-sent events have comments, lines that begin with a colon: clients skip them, and a proxy that would cut a
silent connection sees bytes. Nothing is sent in the first second, so that what is known at once is answered as
ever, with its own status. Once a comment is out the status is 200: an error after it is an event of the stream.

A request waits no longer than its client: a hang-up ends it, as nobody else looks for one meanwhile.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager

from pydantic_core import from_json
from starlette.types import Message, Receive, Scope, Send

from cluster.errors import HeliostatError
from deployments.gateway.anthropic.errors import is_anthropic
from deployments.gateway.errors import respond
from deployments.gateway.timing import broke

# Those whose streams are server-sent events, and begin with the model's answer.
STREAMS = frozenset({"/v1/chat/completions", "/v1/completions", "/v1/responses", "/v1/messages"})
EVENTS = b"text/event-stream"

Say = Callable[[], Awaitable[str]]


class Progress:
    """One request on its way in and out. after_s: without a word; every_s: between two comments, 0 for none.

    begun: whether a comment has been sent.
    """

    __slots__ = (
        *("_after_s", "_answering", "_body", "_ended", "_error", "_every_s", "_listed", "_passed", "_receive"),
        *("_receiving", "_say", "_scope", "_send", "_task", "_telling", "_turn", "_watch", "begun"),
    )

    def __init__(self, scope: Scope, receive: Receive, send: Send, *, after_s: float, every_s: float) -> None:
        self._scope = scope
        self._receive = receive
        self._send = send
        self._after_s = after_s
        self._every_s = every_s
        self._task = asyncio.current_task()
        self._listed = scope["path"] in STREAMS
        self._body: list[bytes] = []
        self._receiving = 0
        self._watch: asyncio.Task[Message] | None = None
        self._telling: asyncio.Task[None] | None = None
        self._turn = asyncio.Lock()  # nothing of the answer goes out in the middle of a comment
        self._answering = False
        self._ended = False
        self._say: Say | None = None
        self._passed = False
        self._error: list[bytes] = []
        self.begun = False

    async def receive(self) -> Message:
        """What the server says, for the app."""
        if self._watch is not None:
            return await asyncio.shield(self._watch)
        self._receiving += 1
        try:
            message = await self._receive()
        finally:
            self._receiving -= 1
        if self._listed and message["type"] == "http.request":
            self._body.append(message.get("body", b""))
        return message

    async def send(self, message: Message) -> None:
        """What the app answers."""
        if message["type"] == "http.response.start":
            self._answering = True
            self._body.clear()
        if self._telling is None:
            await self._send(message)
            return
        async with self._turn:
            await (self._go_on(message) if self.begun else self._send(message))

    @contextmanager
    def waiting(self, say: Say) -> Iterator[None]:
        """The request waits for a model while this is open. say: for what, in words."""
        if self._answering or self._ended:  # or it is something that goes on after its request
            yield
            return
        self._say = say
        telling = self._telling = asyncio.ensure_future(self._tell(say))
        try:
            yield
        finally:
            self._say = None
            if not self._turn.locked():  # else it ends by itself, when its comment is out
                telling.cancel()

    async def fail(self, error: HeliostatError) -> None:
        """End the stream with an error that nobody has answered."""
        response = respond(error, self._scope["path"], self._scope.get("state", {}).get("request_id"))
        await self.send({"type": "http.response.start", "status": response.status_code, "headers": []})
        await self.send({"type": "http.response.body", "body": response.body})

    def end(self) -> None:
        """The request is over."""
        self._ended = True
        for task in (self._watch, self._telling):
            if task is not None:
                task.cancel()

    async def _tell(self, say: Say) -> None:
        if self._watch is None and not self._receiving:
            self._watch = asyncio.ensure_future(self._receive())
        comments = self._every_s > 0 and self._streamed()
        pause_s = 0.0 if self.begun else self._after_s
        while not await self._hung_up(pause_s):
            if not comments:
                pause_s = 60.0
                continue
            text = (await say()).replace("\n", " ").replace("\r", " ")
            async with self._turn:
                if self._answering or self._say is not say:
                    return
                if not self.begun:
                    self.begun = True
                    await self._send({"type": "http.response.start", "status": 200, "headers": self._headers()})
                comment = f": {text}\n\n".encode()
                await self._send({"type": "http.response.body", "body": comment, "more_body": True})
            pause_s = self._every_s
            if self._say is not say:
                return
        if self._task is not None:
            self._task.cancel()

    async def _hung_up(self, within_s: float) -> bool:
        """Whether the client has gone, by then."""
        if self._watch is None:
            await asyncio.sleep(within_s)
            return False
        done, _ = await asyncio.wait({self._watch}, timeout=within_s)
        if done and self._watch.result()["type"] != "http.disconnect":  # more of a body that nobody reads
            await asyncio.sleep(within_s)
            return False
        return bool(done)

    def _streamed(self) -> bool:
        """Whether the body asks for a stream; it has been read, or nobody would wait for a model."""
        if not self._listed:
            return False
        try:
            wanted = from_json(b"".join(self._body))
        except ValueError:
            return False
        return isinstance(wanted, dict) and wanted.get("stream") is True

    def _headers(self) -> list[tuple[bytes, bytes]]:
        headers = [(b"content-type", EVENTS + b"; charset=utf-8"), (b"cache-control", b"no-cache")]
        headers.append((b"x-accel-buffering", b"no"))
        request_id = self._scope.get("state", {}).get("request_id")
        if request_id and is_anthropic(self._scope["path"]):
            headers.append((b"request-id", request_id.encode()))
        return headers

    async def _go_on(self, message: Message) -> None:
        """The app's answer after comments: events go through, anything else is an error, and becomes an event."""
        if message["type"] == "http.response.start":
            kinds = [value for name, value in message.get("headers", ()) if name.lower() == b"content-type"]
            self._passed = message["status"] == 200 and any(kind.startswith(EVENTS) for kind in kinds)
            error = self._scope.get("state", {}).get("error")
            if not self._passed and error is not None:
                broke(error)
            return
        if message["type"] != "http.response.body":
            return
        if self._passed:
            await self._send(message)
            return
        self._error.append(message.get("body", b""))
        if not message.get("more_body", False):
            kind = b"event: error\n" if is_anthropic(self._scope["path"]) else b""
            event = kind + b"data: " + b"".join(self._error) + b"\n\n"
            await self._send({"type": "http.response.body", "body": event})
