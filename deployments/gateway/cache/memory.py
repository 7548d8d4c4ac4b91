"""The cache in the gateway's own memory: the least recently used goes first."""

from collections import OrderedDict
from collections.abc import Callable
from time import monotonic

ENTRY_BYTES = 300  # what Python keeps around a value: the key, the tuple, the dictionary's slot


class MemoryStore:
    """Bounded by bytes, entries and time. Each gateway replica has its own."""

    def __init__(
        self,
        *,
        max_bytes: int,
        max_entries: int,
        max_entry_bytes: int,
        ttl_s: float,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._max_bytes = max_bytes
        self._max_entries = max_entries
        self._max_entry_bytes = max_entry_bytes
        self._ttl_s = ttl_s
        self._clock = clock
        self._entries: OrderedDict[str, tuple[bytes, float]] = OrderedDict()
        self._bytes = 0

    @property
    def size(self) -> int:
        """Bytes that it holds."""
        return self._bytes

    def __len__(self) -> int:
        return len(self._entries)

    async def get(self, keys: list[str]) -> list[bytes | None]:
        """What is stored under each key, which makes it recently used."""
        return [self._get(key) for key in keys]

    async def put(self, values: dict[str, bytes]) -> None:
        """Store them, and drop what is over the bounds."""
        for key, value in values.items():
            if len(value) > self._max_entry_bytes:
                continue
            self._drop(key)
            self._entries[key] = (value, self._clock() + self._ttl_s)
            self._bytes += len(value) + ENTRY_BYTES
        while self._entries and (self._bytes > self._max_bytes or len(self._entries) > self._max_entries):
            self._drop(next(iter(self._entries)))

    async def close(self) -> None:
        """Forget everything."""
        self._entries.clear()
        self._bytes = 0

    def _get(self, key: str) -> bytes | None:
        found = self._entries.get(key)
        if found is None:
            return None
        value, until = found
        if self._clock() >= until:
            self._drop(key)
            return None
        self._entries.move_to_end(key)
        return value

    def _drop(self, key: str) -> None:
        found = self._entries.pop(key, None)
        if found is not None:
            self._bytes -= len(found[0]) + ENTRY_BYTES
