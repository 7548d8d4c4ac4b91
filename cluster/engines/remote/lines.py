"""Streams cut into lines and events, without a word about what they mean. Pure: bytes in, pieces out."""

import json
from typing import Any

from cluster.engines.remote.connection import LINE_BYTES
from cluster.errors import ProviderFailure


class Lines:
    """Cuts bytes into lines. name: how errors call the provider."""

    def __init__(self, name: str, limit: int = LINE_BYTES) -> None:
        self._name = name
        self._limit = limit
        self._held = bytearray()
        self._searched = 0

    def feed(self, chunk: bytes) -> list[bytes]:
        """The lines that are whole now, without their ends. Raises ProviderFailure for one that is too long."""
        self._held += chunk
        found = []
        begin = 0
        while (end := self._held.find(b"\n", max(begin, self._searched))) >= 0:
            self._check(end - begin)
            found.append(bytes(self._held[begin:end]).removesuffix(b"\r"))
            begin = end + 1
        del self._held[:begin]
        self._searched = len(self._held)
        self._check(len(self._held))
        return found

    def rest(self) -> bytes:
        """The last line where it has no end."""
        rest = bytes(self._held)
        self._held.clear()
        return rest

    def _check(self, size: int) -> None:
        if size > self._limit:
            raise ProviderFailure(f"{self._name} sent a line of more than {self._limit} bytes")


class Events:
    """Cuts a stream of server-sent events into their data; comments and names of events are nobody's here."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._lines = Lines(name)
        self._data: list[bytes] = []
        self._size = 0

    def feed(self, chunk: bytes) -> list[bytes]:
        """The data of events that are whole now. Raises ProviderFailure for one that is too long."""
        found = []
        for line in self._lines.feed(chunk):
            if line.startswith(b"data:"):
                self._data.append(line[5:].removeprefix(b" "))
                self._size += len(line)
                if self._size > LINE_BYTES:
                    raise ProviderFailure(f"{self._name} sent an event of more than {LINE_BYTES} bytes")
            elif not line and self._data:
                found.append(b"\n".join(self._data))
                self._data, self._size = [], 0
        return found

    def rest(self) -> list[bytes]:
        """What the end of the stream makes whole: some providers leave out the last blank line."""
        return self.feed(b"\n\n")


def parsed(data: bytes, name: str) -> dict[str, Any]:
    """One JSON object of a provider. Raises ProviderFailure for anything else."""
    try:
        found = json.loads(data, parse_constant=_no_number)
    except (ValueError, RecursionError):
        begins = data[:80].decode(errors="replace").strip()
        what = "a web page" if begins.startswith("<") else "something that is not JSON"
        raise ProviderFailure(f"{name} answered with {what}") from None
    if not isinstance(found, dict):
        raise ProviderFailure(f"{name} answered with JSON that is not an object")
    return found


def written(value: Any) -> bytes:
    """JSON in few bytes. A provider may part a character's two surrogates: alone, each has no bytes but \\u…"""
    try:
        return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
    except UnicodeEncodeError:
        return json.dumps(value, separators=(",", ":")).encode()


def event(value: Any) -> bytes:
    """A server-sent event of ours."""
    return b"data: " + written(value) + b"\n\n"


def _no_number(word: str) -> float:
    raise ValueError(f"{word} is not JSON")
