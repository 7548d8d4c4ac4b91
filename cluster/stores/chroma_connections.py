"""The way to Chroma: a folder that this process owns, or a server by its URL; and what fails on the way.

Two processes on one embedded folder see stale indexes (measured: 0 of 100 vectors found), so the folder is locked.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from cluster.errors import StartFailed, Unavailable
from cluster.stores.file_lock import lock_within

OWNER_WAIT_S = 20.0  # a replica that is being replaced lets go of the folder within its drain of 5 s


@dataclass(frozen=True, slots=True, kw_only=True)
class Connection:
    """A Chroma client, and the descriptor of the lock on its folder (None behind a URL)."""

    client: Any
    lock: int | None = None

    def close(self) -> None:
        """Let go of the server, or the folder."""
        self.client.close()
        for owner in (self.client, getattr(self.client, "_admin_client", None)):
            session = getattr(getattr(owner, "_server", None), "_session", None)
            if session is not None:  # Chroma 1.5.9 leaves both of its ways to a server open
                session.close()
        if self.lock is not None:
            os.close(self.lock)


def open_embedded(folder: Path, *, wait_s: float = OWNER_WAIT_S) -> Connection:
    """Chroma in this process, over a folder. Raises StartFailed where another process owns the folder."""
    import chromadb
    from chromadb.config import Settings as ChromaSettings

    folder.mkdir(parents=True, exist_ok=True)
    lock = os.open(folder / "owner.lock", os.O_RDWR | os.O_CREAT, 0o600)
    if not lock_within(lock, wait_s):
        os.close(lock)
        hint = "stop the other cluster, or give this one its own home"
        raise StartFailed(f"The vectors in {folder} are owned by another process", hint=hint)
    try:
        with translated():
            client = chromadb.PersistentClient(str(folder), settings=ChromaSettings(anonymized_telemetry=False))
    except Unavailable as error:
        os.close(lock)
        raise StartFailed(f"The vectors in {folder} cannot be opened: {error.message}") from error
    return Connection(client=client, lock=lock)


def connect_server(url: str) -> Connection:
    """A Chroma server by its URL. Raises StartFailed where nobody answers there."""
    import chromadb
    from chromadb.config import Settings as ChromaSettings

    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise StartFailed(f"stores.vectors.url: {url!r} is no server's address", hint="http://host:port")
    port = parts.port or (443 if parts.scheme == "https" else 80)
    try:
        client = chromadb.HttpClient(
            parts.hostname,
            port,
            ssl=parts.scheme == "https",
            settings=ChromaSettings(anonymized_telemetry=False),
        )
    except Exception as error:  # the client raises ValueError, httpx's and its own errors alike
        hint = "start it with `chroma run`, on loopback or a private network only"
        raise StartFailed(f"No Chroma server answers at {url}: {error}", hint=hint) from error
    return Connection(client=client)


@contextmanager
def translated() -> Iterator[None]:
    """What Chroma and the way to it raise, as Unavailable."""
    import httpx
    from chromadb.errors import ChromaError

    try:
        yield
    except (ChromaError, httpx.HTTPError, OSError) as error:
        hint = "look at the store's log; for a full disk, free some space"
        raise Unavailable(f"The vector store failed: {error}", hint=hint, retry_after_s=5) from error
