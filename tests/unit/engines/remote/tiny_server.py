"""A real HTTP/1.1 server of a few lines: what remote engines are tested against, down to the bytes."""

import asyncio
import json
import ssl
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

HUNG_S = 3600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.body)
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    """body: bytes, or what comes piece by piece. cut: hang up without the end of a body in pieces."""

    status: int = 200
    body: bytes | AsyncIterator[bytes] = b""
    media_type: str = "application/json"
    headers: dict[str, str] = field(default_factory=dict)
    cut: bool = False


Answer = Callable[[Request], Awaitable[Response]]


def as_json(content: Any, status: int = 200, **headers: str) -> Response:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Response(status=status, body=json.dumps(content).encode(), headers=named)


class Wire(asyncio.StreamReaderProtocol):
    """One connection. hung_up: set once the client has."""

    def __init__(self, server: "TinyServer") -> None:
        self.reader = asyncio.StreamReader(limit=2**20)
        self.hung_up = asyncio.Event()
        super().__init__(self.reader, lambda reader, writer: server.keep(server.serve(self, writer)))

    def eof_received(self) -> bool:
        self.hung_up.set()
        return bool(super().eof_received())

    def connection_lost(self, error: Exception | None) -> None:
        self.hung_up.set()
        super().connection_lost(error)


class TinyServer:
    """seen: all requests. connections: how many came. left: answers whose client hung up before their end."""

    def __init__(self, answer: Answer) -> None:
        self.answer = answer
        self.url = ""
        self.seen: list[Request] = []
        self.connections = 0
        self.left = 0
        self.serving: set[asyncio.Task[Any]] = set()

    def keep(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self.serving.add(task)
        task.add_done_callback(self.serving.discard)

    async def serve(self, wire: Wire, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while (request := await _read(wire.reader)) is not None:
                self.seen.append(request)
                if not await self._answered(request, wire, writer):
                    return
        except (ConnectionError, asyncio.IncompleteReadError):
            return
        finally:
            writer.close()

    async def _answered(self, request: Request, wire: Wire, writer: asyncio.StreamWriter) -> bool:
        """Answer, unless the client hangs up before. Whether the connection goes on."""
        work = asyncio.ensure_future(_write(self.answer(request), writer))
        gone = asyncio.ensure_future(wire.hung_up.wait())
        try:
            await asyncio.wait({work, gone}, return_when=asyncio.FIRST_COMPLETED)
            if work.done():
                return work.result()
            self.left += 1
            return False
        finally:
            for task in (work, gone):
                task.cancel()
            await asyncio.wait({work, gone})


@asynccontextmanager
async def serving(answer: Answer, tls: ssl.SSLContext | None = None) -> AsyncGenerator[TinyServer, None]:
    """A server on a free port of the loopback, as long as the block. tls: for `localhost`."""
    tiny = TinyServer(answer)
    server = await asyncio.get_running_loop().create_server(lambda: Wire(tiny), "127.0.0.1", 0, ssl=tls)
    port = server.sockets[0].getsockname()[1]
    tiny.url = f"http://127.0.0.1:{port}" if tls is None else f"https://localhost:{port}"
    try:
        yield tiny
    finally:
        server.close()
        tasks = list(tiny.serving)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)


async def _read(reader: asyncio.StreamReader) -> Request | None:
    head = await reader.readuntil(b"\r\n\r\n") if not reader.at_eof() else b""
    if not head:
        return None
    first, *lines = head.decode("latin-1").split("\r\n")
    method, path, _ = first.split(" ")
    headers = {}
    for line in filter(None, lines):
        name, _, value = line.partition(":")
        headers[name.lower()] = value.strip()
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    return Request(method=method, path=path, headers=headers, body=body)


async def _write(coming: Awaitable[Response], writer: asyncio.StreamWriter) -> bool:
    response = await coming
    headers = {"content-type": response.media_type, **response.headers}
    whole = isinstance(response.body, bytes)
    headers |= {"content-length": str(len(response.body))} if whole else {"transfer-encoding": "chunked"}
    lines = [f"HTTP/1.1 {response.status} -", *(f"{name}: {value}" for name, value in headers.items())]
    writer.write("\r\n".join([*lines, "", ""]).encode("latin-1"))
    if isinstance(response.body, bytes):
        writer.write(response.body)
        await writer.drain()
        return True
    async for piece in response.body:
        writer.write(f"{len(piece):x}\r\n".encode() + piece + b"\r\n")
        await writer.drain()
    if not response.cut:
        writer.write(b"0\r\n\r\n")
    await writer.drain()
    return not response.cut
