"""One file on its way: written as it arrives, hashed as it is written, continued where it stopped."""

import hashlib
import os
from pathlib import Path
from typing import Protocol

from cluster.errors import DiskFull, HashMismatch
from cluster.library.manifest import RemoteFile
from cluster.stores.draft import NO_ROOM

BLOCK = 1024**2


class Digest(Protocol):
    """As of hashlib."""

    def update(self, data: bytes, /) -> None:
        """More content."""

    def hexdigest(self) -> str:
        """The hash so far."""


class Arriving:
    """The partial file, open. Use as a context manager; what was written stays, whatever happens.

    Raises DiskFull where the disk has no more room.
    """

    def __init__(self, path: Path, file: RemoteFile) -> None:
        self._path = path
        self._file = file
        path.parent.mkdir(parents=True, exist_ok=True)
        self._stream = path.open("ab", buffering=0)  # what was written is there after a kill -9
        self.size = os.fstat(self._stream.fileno()).st_size
        self.resumed = self.size > 0
        if self.size > file.size:
            self.restart()

    def __enter__(self) -> "Arriving":
        return self

    def __exit__(self, *_: object) -> None:
        self._stream.close()

    def write(self, data: bytes) -> None:
        """Add to its end. Raises HashMismatch where more arrives than the file can hold."""
        if self.size + len(data) > self._file.size:
            self.discard()
            raise HashMismatch(f"{self._file.path} is longer than the {self._file.size} bytes it should have")
        view = memoryview(data)
        try:
            while view:
                count = self._stream.write(view)
                self.size, view = self.size + count, view[count:]
        except OSError as error:
            if error.errno in NO_ROOM:
                raise no_room(self._path.parent) from error
            raise

    def restart(self) -> None:
        """Begin again with nothing."""
        self._stream.truncate(0)
        self.size, self.resumed = 0, False

    def discard(self) -> None:
        """Throw it away."""
        self.restart()
        self._path.unlink(missing_ok=True)

    def finish(self, blob: Path) -> None:
        """Compare its hash and give it its name. Raises HashMismatch, and the file is gone then."""
        digest = digest_of(self._file)
        with self._path.open("rb") as stream:
            while block := stream.read(BLOCK):
                digest.update(block)
        found = digest.hexdigest()
        if self.size != self._file.size or found != self._file.digest:
            self.discard()
            raise HashMismatch(
                f"{self._file.path} arrived with the hash {found[:12]}…, and should have {self._file.digest[:12]}…",
                hint="it was thrown away; pull again, and if it happens again something on the way changes files",
            )
        os.fsync(self._stream.fileno())  # or a loss of power leaves a blob of that name without its content
        self._path.replace(blob)


def digest_of(file: RemoteFile) -> Digest:
    """An empty hash of the kind that the registry gave: SHA-256, or git's of a blob."""
    if file.sha256 is not None:
        return hashlib.sha256()
    return hashlib.sha1(f"blob {file.size}\0".encode(), usedforsecurity=False)


def no_room(folder: Path) -> DiskFull:
    """The disk is full; what has arrived stays."""
    return DiskFull(
        f"the disk of {folder} is full; what has arrived is kept",
        hint="make room and pull again to go on, or `heliostat models rm` to give the room back",
    )
