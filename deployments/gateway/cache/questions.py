"""Where the semantic cache keeps what was asked: vectors of questions, each with the key of its answer.

A bucket is what must be equal for one question's answer to be another's; its name has the owner in it.
"""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from time import monotonic
from typing import Protocol

ENTRY_BYTES = 600  # what Python keeps around a vector: the keys, and the slots of four dictionaries


class QuestionStore(Protocol):
    """Vectors by answer key, in buckets, for a while. What is lost, away or broken is a miss, never an error."""

    async def asked(self, bucket: str) -> dict[str, bytes]:
        """The vectors of a bucket: float32 as bytes, by the key of the answer."""
        ...

    async def add(self, owner: str, bucket: str, key: str, vector: bytes) -> None:
        """Keep one. Where the owner has too many, the oldest goes."""
        ...

    async def forget(self, owner: str, bucket: str, keys: list[str]) -> None:
        """Drop those whose answers are gone."""
        ...

    async def close(self) -> None:
        """Give back what it holds."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One question that was asked. until: when it is forgotten, in seconds of the store's clock."""

    owner: str
    bucket: str
    vector: bytes
    until: float


class MemoryQuestions:
    """Bounded by entries of an owner, bytes and time. Each gateway replica has its own."""

    def __init__(
        self, *, max_entries: int, max_bytes: int, ttl_s: float, clock: Callable[[], float] = monotonic
    ) -> None:
        self._max_entries = max_entries
        self._max_bytes = max_bytes
        self._ttl_s = ttl_s
        self._clock = clock
        self._entries: OrderedDict[str, Asked] = OrderedDict()  # by the answer's key, the oldest first
        self._owned: dict[str, OrderedDict[str, None]] = {}
        self._buckets: dict[str, dict[str, bytes]] = {}
        self._bytes = 0

    @property
    def size(self) -> int:
        """Bytes that it holds."""
        return self._bytes

    def __len__(self) -> int:
        return len(self._entries)

    async def asked(self, bucket: str) -> dict[str, bytes]:
        """The vectors of a bucket."""
        self._expire()
        return dict(self._buckets.get(bucket, {}))

    async def add(self, owner: str, bucket: str, key: str, vector: bytes) -> None:
        """Keep one, and drop what is over the bounds."""
        self._expire()
        self._drop(key)
        self._entries[key] = Asked(owner=owner, bucket=bucket, vector=vector, until=self._clock() + self._ttl_s)
        owned = self._owned.setdefault(owner, OrderedDict())
        owned[key] = None
        self._buckets.setdefault(bucket, {})[key] = vector
        self._bytes += len(vector) + ENTRY_BYTES
        while len(owned) > self._max_entries:
            self._drop(next(iter(owned)))
        while self._entries and self._bytes > self._max_bytes:
            self._drop(next(iter(self._entries)))

    async def forget(self, owner: str, bucket: str, keys: list[str]) -> None:  # noqa: ARG002  # Redis needs both
        """Drop them."""
        for key in keys:
            self._drop(key)

    async def close(self) -> None:
        """Forget everything."""
        for key in list(self._entries):
            self._drop(key)

    def _expire(self) -> None:
        now = self._clock()
        while self._entries:
            key, oldest = next(iter(self._entries.items()))
            if oldest.until > now:
                return
            self._drop(key)

    def _drop(self, key: str) -> None:
        entry = self._entries.pop(key, None)
        if entry is None:
            return
        self._bytes -= len(entry.vector) + ENTRY_BYTES
        owned, bucket = self._owned[entry.owner], self._buckets[entry.bucket]
        del owned[key], bucket[key]
        if not owned:
            del self._owned[entry.owner]
        if not bucket:
            del self._buckets[entry.bucket]
