"""Where accounts are kept: in memory for one gateway (memory.py), in Redis for several (redis.py)."""

from typing import Protocol

from deployments.gateway.limits.account import Standing, Verdict
from deployments.gateway.principal import Limits


class StoreAway(Exception):  # it never leaves the house: the limiter decides what it means
    """The store does not answer."""


class LimitStore(Protocol):
    """Accounts by key. `lease` names one running request."""

    async def take(self, key: str, limits: Limits, *, tokens: int, lease: str) -> Verdict:
        """Take a request, tokens and a place: all, or nothing. Raises StoreAway."""
        ...

    def settle(self, key: str, limits: Limits, *, tokens: int, lease: str, requests: int = 0) -> None:
        """Give back the place, and what was taken and not used. It never waits, and never raises."""
        ...

    async def standing(self, key: str, limits: Limits) -> Standing:
        """What is left. Raises StoreAway."""
        ...

    async def close(self) -> None:
        """Wait for what is being settled, and let go of connections."""
        ...
