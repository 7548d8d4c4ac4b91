"""Where cached answers are kept."""

from typing import Protocol


class CacheStore(Protocol):
    """Bytes by key, for a while. What is lost, away or broken is a miss, never an error."""

    async def get(self, keys: list[str]) -> list[bytes | None]:
        """What is stored under each key."""
        ...

    async def put(self, values: dict[str, bytes]) -> None:
        """Store them; a value that is too large is not stored."""
        ...

    async def close(self) -> None:
        """Give back what it holds."""
        ...
