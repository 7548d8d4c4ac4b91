"""A Redis that knows what the cache says to one: over a socket, so that the real client is what is tested."""

import asyncio
from typing import Any


class TinyRedis:
    """GET and SET in a dictionary. commands: all that came."""

    def __init__(self) -> None:
        self.values: dict[bytes, bytes] = {}
        self.commands: list[list[bytes]] = []
        self.silent = False
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.StreamWriter] = set()
        self._serving: list[Any] = []

    async def start(self) -> str:
        """Listen, and say where."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return f"redis://127.0.0.1:{self._server.sockets[0].getsockname()[1]}/0"

    async def stop(self) -> None:
        """Be away."""
        assert self._server is not None
        self._server.close()
        for writer in self._connections:
            writer.close()
        await asyncio.gather(*self._serving, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._connections.add(writer)
        self._serving.append(asyncio.current_task())
        while (head := await reader.readline()).startswith(b"*"):
            words = []
            for _ in range(int(head[1:])):
                size = int((await reader.readline())[1:])
                words.append((await reader.readexactly(size + 2))[:-2])
            self.commands.append(words)
            if not self.silent:
                writer.write(self._answer(words))
        writer.close()

    def _answer(self, words: list[Any]) -> bytes:
        match words:
            case [b"HELLO", *_]:
                return b"%1\r\n" + _bulk(b"proto") + b":3\r\n"
            case [b"CLIENT", *_]:
                return b"+OK\r\n"
            case [b"SET", key, value, b"PX", _]:
                self.values[key] = value
                return b"+OK\r\n"
            case [b"MGET", *keys]:
                return b"*%d\r\n" % len(keys) + b"".join(_bulk(self.values.get(key)) for key in keys)
        return b"-ERR unknown command\r\n"


def _bulk(value: bytes | None) -> bytes:
    return b"_\r\n" if value is None else b"$%d\r\n%s\r\n" % (len(value), value)
