"""A file that appears whole or not at all: written under another name, flushed to disk, then renamed."""

import errno
import hashlib
import os
import uuid
from pathlib import Path
from types import TracebackType

SUFFIX = ".tmp"
NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT})  # an OSError of a full disk, or of a quota that is used up


class Draft:
    """A context: write to it, then `publish`. Left without that, nothing of it stays.

    size: bytes so far. sha256: of them, hex.
    """

    def __init__(self, final: Path) -> None:
        self.final = final
        # A name of its own, so that two writers of one file cannot mix their bytes.
        self._path = final.with_name(f"{final.name}.{uuid.uuid4().hex[:8]}{SUFFIX}")
        self._hash = hashlib.sha256()
        self.size = 0

    def __enter__(self) -> "Draft":
        self.final.parent.mkdir(parents=True, exist_ok=True)
        self._file = self._path.open("wb")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()
        self._path.unlink(missing_ok=True)  # published, it has another name by now

    @property
    def sha256(self) -> str:
        """The digest of what was written so far."""
        return self._hash.hexdigest()

    def write(self, content: bytes) -> None:
        """Append."""
        self._file.write(content)
        self._hash.update(content)
        self.size += len(content)

    def publish(self, *, durable: bool = True) -> None:
        """Make the file appear, in the place of one of its name. durable: and survive a power cut from now on."""
        self._file.flush()
        if durable:
            os.fsync(self._file.fileno())
        self._path.replace(self.final)
        if durable:
            sync_folder(self.final.parent)


def sync_folder(folder: Path) -> None:
    """A rename is durable once its folder is."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
