"""Accounts in the memory of one gateway."""

from collections.abc import Callable
from time import monotonic

from deployments.gateway.limits.account import Account, Standing, Verdict
from deployments.gateway.principal import Limits

LOOKED_AT = 8  # accounts that each new one checks for being idle: more than come, so the table shrinks


class MemoryLimits:
    """Accounts by key; idle ones are forgotten as new ones come."""

    def __init__(self, *, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._accounts: dict[str, Account] = {}

    def __len__(self) -> int:
        return len(self._accounts)

    async def take(self, key: str, limits: Limits, *, tokens: int, lease: str) -> Verdict:
        """Take a request, tokens and a place: all, or nothing."""
        now = self._clock()
        account = self._accounts.get(key)
        if account is None:
            self._forget_idle(now)
            account = self._accounts[key] = Account()
        return account.take(limits, tokens=tokens, lease=lease, now=now)

    def settle(self, key: str, limits: Limits, *, tokens: int, lease: str, requests: int = 0) -> None:
        """Give back the place, and what was taken and not used."""
        account = self._accounts.get(key)
        if account is not None:
            account.settle(limits, lease=lease, tokens=tokens, requests=requests, now=self._clock())

    async def standing(self, key: str, limits: Limits) -> Standing:
        """What is left."""
        return self._accounts.get(key, Account()).standing(limits, self._clock())

    async def close(self) -> None:
        """Nothing to let go of."""

    def _forget_idle(self, now: float) -> None:
        for key in list(self._accounts)[:LOOKED_AT]:
            account = self._accounts.pop(key)
            if not account.idle(now):
                self._accounts[key] = account  # at the end, so that others are looked at next
