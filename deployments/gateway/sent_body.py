"""A request's body, read whole before anybody else reads it, and then read again."""

import hashlib
import re
import tempfile
from types import TracebackType
from typing import Self

from starlette.datastructures import Headers
from starlette.types import Message, Receive, Scope

IN_MEMORY_BYTES = 1024**2  # a larger body, such as an upload, waits on disk
READ_BYTES = 256 * 1024
BOUNDARY = re.compile(r"""boundary="?([^";,]{1,200})"?""")


class SentBody:
    """One body. A context manager, which gives its file back, unless it is lent to who outlives the context."""

    def __init__(self) -> None:
        self._file = tempfile.SpooledTemporaryFile(max_size=IN_MEMORY_BYTES)  # noqa: SIM115 - closed by __exit__
        self._hash = hashlib.sha256()
        self._left = 0
        self._lent = False

    @property
    def lent(self) -> bool:
        """Whether somebody reads it after the context's end; who does says so, and when they are done."""
        return self._lent

    @lent.setter
    def lent(self, lent: bool) -> None:
        if self._lent and not lent:
            self._file.close()
        self._lent = lent

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self._lent:
            self._file.close()

    @property
    def fingerprint(self) -> str:
        """A hash of the body, its media type and the query, without the boundary between a form's parts.

        A client that sends the same form again draws a new boundary.
        """
        return self._hash.hexdigest()

    async def read(self, scope: Scope, receive: Receive) -> bool:
        """Read all of it; False where the client hung up before."""
        content_type = Headers(scope=scope).get("content-type", "")
        found = BOUNDARY.search(content_type) if content_type.startswith("multipart/") else None
        cut = _Cut(found.group(1).encode("latin-1") if found else b"")
        media_type = content_type.partition(";")[0].strip().lower()
        self._hash.update(scope.get("query_string", b"") + b"\n" + media_type.encode("latin-1") + b"\n")
        more = True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                return False
            part = message.get("body", b"")
            self._file.write(part)
            self._hash.update(cut.push(part))
            more = message.get("more_body", False)
        self._hash.update(cut.rest())
        self._left = self._file.tell()
        self._file.seek(0)
        return True

    def again(self, receive: Receive) -> Receive:
        """Gives the body in pieces, and then what comes after it."""
        sent = False

        async def from_file() -> Message:
            nonlocal sent
            if sent:
                return await receive()
            part = self._file.read(READ_BYTES)
            self._left -= len(part)
            sent = self._left <= 0
            return {"type": "http.request", "body": part, "more_body": not sent}

        return from_file


class _Cut:
    """Takes a word out of bytes that come in pieces."""

    def __init__(self, word: bytes) -> None:
        self._word = word
        self._held = b""

    def push(self, part: bytes) -> bytes:
        if not self._word:
            return part
        *before, last = (self._held + part).split(self._word)
        held = min(len(self._word) - 1, len(last))
        self._held = last[len(last) - held :]
        return b"".join(f + b"\0" for f in before) + last[: len(last) - held]

    def rest(self) -> bytes:
        return self._held
