"""Exports as files: written whole by a thread, then sent in pieces with their checksum.

The folder of a file goes before the file is sent: what is open can be read to its end, and nothing stays behind
whatever ends the request. An error comes before the status is sent.
"""

import asyncio
import hashlib
import tempfile
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from starlette.responses import Response, StreamingResponse

from cluster.errors import DiskFull
from cluster.stores.draft import NO_ROOM
from deployments.gateway.lab import etags
from deployments.gateway.lab.threads import Turns

PIECE = 256 * 1024  # bytes

Write = Callable[[Path], int | None]
"""Writes a file; returns its rows, None for a report."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _File:
    content: BinaryIO
    rows: int | None
    size: int
    sha256: str


class Files:
    """Writes the exports of one gateway."""

    def __init__(self) -> None:
        self._turns = Turns()

    async def answer(
        self,
        write: Write,
        *,
        name: str,
        kind: str,
        headers: Mapping[str, str] | None = None,
        has: Callable[[str], bool] = lambda _: False,
    ) -> Response:
        """The file as a download. name: without its ending. headers: more of them.

        has: whether the client has what that tag says, and is sent nothing. Raises what `write` raises, DiskFull.
        """
        from pipelines.analysis.exports.formats import format_of

        chosen = format_of(kind)
        file = await self._turns.take(lambda: _written(write))
        if has(tag := f'"{file.sha256}"'):
            file.content.close()
            return etags.unchanged(tag)
        found = {
            **(headers or {}),
            "content-disposition": f'attachment; filename="{name}{chosen.suffix}"',
            "content-length": str(file.size),
            "etag": tag,
            "x-checksum-sha256": file.sha256,
            "cache-control": "private, no-cache",
        }
        if file.rows is not None:
            found["x-total-rows"] = str(file.rows)
        return StreamingResponse(_pieces(file.content), media_type=chosen.media_type, headers=found)


def _written(write: Write) -> _File:
    try:
        with tempfile.TemporaryDirectory(prefix="heliostat-export-") as folder:
            path = Path(folder) / "export"
            rows = write(path)
            content = path.open("rb")
            size = path.stat().st_size
    except OSError as error:
        if error.errno in NO_ROOM:
            raise DiskFull("There is no room for the export", hint="export fewer columns or rows") from None
        raise
    digest = hashlib.file_digest(content, "sha256").hexdigest()
    content.seek(0)
    return _File(content=content, rows=rows, size=size, sha256=digest)


async def _pieces(file: BinaryIO) -> AsyncIterator[bytes]:
    with file:
        while piece := await asyncio.to_thread(file.read, PIECE):
            yield piece
