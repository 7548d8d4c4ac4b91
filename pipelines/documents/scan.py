"""What files are, before any is read into a collection: their hashes, from memory where nothing touched them."""

import hashlib
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from cluster.stores.document_states import DocumentState
from pipelines.documents.selection import Selected
from pipelines.documents.stamp import is_settled, stamp_of

THREADS = 4  # hashing lets others run, and a disk reads several files at once


@dataclass(frozen=True, slots=True, kw_only=True)
class Scanned:
    """A file and its content's hash; an empty document_id where it can't be told: who reads the file says why.

    stamp: what changes when the file changes; empty where it was written a moment ago.
    """

    file: Selected
    size: int = 0
    stamp: str = ""
    document_id: str = ""


def scan(
    files: Sequence[Selected],
    states: Mapping[str, DocumentState],
    *,
    max_bytes: int,
    clock: Callable[[], float] = time.time,
) -> list[Scanned]:
    """The files in their order. states: of earlier readings, by source. max_bytes: what is larger is not hashed."""

    def look(file: Selected) -> Scanned:
        try:
            facts = Path(file.path).stat()
            stamp = stamp_of(facts) if is_settled(facts, clock()) else ""
            before = states.get(file.source)
            if (
                stamp
                and before is not None
                and before.document_id
                and (before.path, before.stamp) == (file.path, stamp)
            ):
                return Scanned(file=file, size=facts.st_size, stamp=stamp, document_id=before.document_id)
            if facts.st_size > max_bytes:
                return Scanned(file=file, size=facts.st_size)
            return Scanned(file=file, size=facts.st_size, stamp=stamp, document_id=_hash(file.path))
        except OSError:
            return Scanned(file=file)

    with ThreadPoolExecutor(THREADS, thread_name_prefix="scan") as threads:
        return list(threads.map(look, files))


def _hash(path: str) -> str:
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
