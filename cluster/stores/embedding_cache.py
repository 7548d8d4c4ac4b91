"""Vectors of texts that were embedded before, over documents and collections: one SQLite file, several processes.

Only time depends on it. What cannot be read or written is a text that is embedded again, and a file that is
damaged is thrown away; neither is an error for whoever asks.
"""

import hashlib
import logging
import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from cluster.documents import EmbedderIdentity

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Result = TypeVar("Result")
FILE = "documents/embeddings.sqlite"  # below the home
BUSY_S = 10.0  # a writer holds the lock for milliseconds
AT_ONCE = 500  # keys of one query: SQLite takes 999 variables at least
USED_EVERY_S = 3600  # how exactly it is known when a vector was used last: reading seldom writes
LEAVES = 0.1  # of the vectors, when there are too many: the least recently used
DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
TABLE = """
    CREATE TABLE IF NOT EXISTS vectors (key BLOB PRIMARY KEY, vector BLOB NOT NULL, used INTEGER NOT NULL);
    CREATE INDEX IF NOT EXISTS vectors_used ON vectors (used);
"""
logger = logging.getLogger(__name__)


class EmbeddingCache:
    """max_bytes: of the file, about; 0 keeps nothing. clock: Unix seconds. Thread-safe; blocks."""

    def __init__(self, path: Path, *, max_bytes: int, clock: Callable[[], float] = time.time) -> None:
        self._path = path
        self._max_bytes = max_bytes
        self._clock = clock
        self._lock = threading.Lock()
        self._opened: sqlite3.Connection | None = None

    def get(self, texts: Sequence[str], identity: EmbedderIdentity) -> "dict[int, NDArray[np.float32]]":
        """The vectors that are known, by their text's position."""
        if not texts or not self._max_bytes:
            return {}
        keys = [_key(text, identity) for text in texts]
        found = self._tried(lambda connection: self._read(connection, sorted(set(keys)))) or {}
        vectors = {key: _vector(blob, identity.dimensions) for key, blob in found.items()}
        known = ((place, vectors.get(key)) for place, key in enumerate(keys))
        return {place: vector for place, vector in known if vector is not None}

    def put(self, texts: Sequence[str], vectors: "NDArray[np.float32]", identity: EmbedderIdentity) -> None:
        """Keep the vectors of texts, shape (n, dimensions); one that is not finite is not kept."""
        import numpy as np

        if not len(texts) or not self._max_bytes:
            return
        now = int(self._clock())
        plain = np.ascontiguousarray(vectors, dtype="<f4")
        good = np.isfinite(plain).all(axis=1)
        rows = [
            (_key(text, identity), plain[place].tobytes(), now) for place, text in enumerate(texts) if good[place]
        ]
        self._tried(lambda connection: self._write(connection, rows))

    def close(self) -> None:
        """Let go of the file; the next use opens it again."""
        with self._lock:
            if self._opened is not None:
                self._opened.close()
                self._opened = None

    def _read(self, connection: sqlite3.Connection, keys: Sequence[bytes]) -> dict[bytes, bytes]:
        now = int(self._clock())
        found: dict[bytes, bytes] = {}
        for first in range(0, len(keys), AT_ONCE):
            part = keys[first : first + AT_ONCE]
            marks = ",".join("?" * len(part))
            query = f"SELECT key, vector, used FROM vectors WHERE key IN ({marks})"  # noqa: S608 - marks alone
            rows = connection.execute(query, part).fetchall()
            found.update((key, vector) for key, vector, _ in rows)
            stale = [(now, key) for key, _, used in rows if now - used > USED_EVERY_S]
            if stale:
                with connection:
                    connection.executemany("UPDATE vectors SET used = ? WHERE key = ?", stale)
        return found

    def _write(self, connection: sqlite3.Connection, rows: Sequence[tuple[bytes, bytes, int]]) -> None:
        with connection:
            connection.executemany("INSERT OR REPLACE INTO vectors VALUES (?, ?, ?)", rows)
        while self._bytes(connection) > self._max_bytes:
            with connection:
                count = connection.execute("SELECT count(*) FROM vectors").fetchone()[0]
                if not count:
                    return  # what is left is SQLite's own
                leaving = max(1, int(count * LEAVES))
                oldest = "SELECT key FROM vectors ORDER BY used LIMIT ?"
                connection.execute(f"DELETE FROM vectors WHERE key IN ({oldest})", (leaving,))  # noqa: S608

    def _bytes(self, connection: sqlite3.Connection) -> int:
        """Of the pages in use: those that a deletion freed are written again before the file grows."""
        pages, free, size = (
            int(connection.execute(f"PRAGMA {name}").fetchone()[0])
            for name in ("page_count", "freelist_count", "page_size")
        )
        return (pages - free) * size

    def _tried(self, work: Callable[[sqlite3.Connection], Result]) -> Result | None:
        """None where the file cannot be used just now."""
        with self._lock:
            try:
                return work(self._connection())
            except (sqlite3.Error, OSError) as error:
                self._failed(error)
                return None

    def _connection(self) -> sqlite3.Connection:
        if self._opened is None:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            connection = sqlite3.connect(self._path, timeout=BUSY_S, check_same_thread=False)
            try:
                connection.execute("PRAGMA journal_mode=WAL")
                connection.execute("PRAGMA synchronous=NORMAL")  # a power cut may take the last writes: a cache
                connection.executescript(TABLE)
            except BaseException:
                connection.close()
                raise
            self._opened = connection
        return self._opened

    def _failed(self, error: Exception) -> None:
        logger.warning("the embedding cache %s cannot be used: %s", self._path, error)
        if self._opened is not None:
            self._opened.close()
            self._opened = None
        if getattr(error, "sqlite_errorcode", None) in DAMAGED:
            for name in ("", "-wal", "-shm"):
                self._path.with_name(self._path.name + name).unlink(missing_ok=True)


def _key(text: str, identity: EmbedderIdentity) -> bytes:
    told = f"{identity.model}\0{identity.revision}\0{identity.dimensions}\0{text}"
    return hashlib.sha256(told.encode(errors="surrogatepass")).digest()


def _vector(blob: bytes, dimensions: int) -> "NDArray[np.float32] | None":
    import numpy as np

    if len(blob) != 4 * dimensions:
        return None
    return np.frombuffer(blob, dtype="<f4").astype(np.float32)
