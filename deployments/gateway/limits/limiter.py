"""Rate limits by key: whose they are, what a refusal says, and what it means when the store is away."""

import logging
import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count
from time import monotonic
from typing import Literal
from uuid import uuid4

from cluster.errors import NeverWithinLimit, Overloaded, Unavailable
from deployments.gateway.limits.account import Limited, Standing, Verdict
from deployments.gateway.limits.store import LimitStore, StoreAway
from deployments.gateway.limits.usage import Estimate
from deployments.gateway.principal import Limits, Principal

logger = logging.getLogger(__name__)

AWAY_S = 1.0  # a store that did not answer is not asked again for so long
NONE = Limits()


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """What a running request has taken. standing: what was left after it."""

    key: str
    id: str
    tokens: int
    counted: bool
    standing: Standing


class Limiter:
    """Takes from keys' limits, and settles. defaults: of a key that says nothing of its own.

    unsaid_tokens: reserved for an answer whose length the request does not limit. away: whether requests go on
    unlimited while the store does not answer (`open`), or are refused (`closed`).
    """

    def __init__(
        self,
        store: LimitStore,
        *,
        defaults: Limits = NONE,
        unsaid_tokens: int = 256,
        away: Literal["open", "closed"] = "open",
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._store = store
        self._defaults = defaults
        self._unsaid = unsaid_tokens
        self._closed = away == "closed"
        self._clock = clock
        self._asked_again = -math.inf
        self._run = uuid4().hex[:12]  # leases of several gateways must differ
        self._numbers = count()

    def limits_of(self, principal: Principal) -> Limits | None:
        """The limits in force, None where there are none."""
        own, default = principal.limits, self._defaults
        if default is not NONE and default != NONE:
            own = Limits(
                requests_per_minute=_or(own.requests_per_minute, default.requests_per_minute),
                tokens_per_minute=_or(own.tokens_per_minute, default.tokens_per_minute),
                concurrent_requests=_or(own.concurrent_requests, default.concurrent_requests),
            )
        return None if own == NONE else own

    async def take(self, principal: Principal, estimate: Estimate) -> Lease | None:
        """Take what a request needs; None where nothing is limited.

        Raises Refused, Overloaded with what is left, and Unavailable while the store is away and that is closed.
        """
        limits = self.limits_of(principal)
        if limits is None or not self._asks():
            return None
        tokens = self._reserved(estimate, limits.tokens_per_minute)
        lease = f"{self._run}-{next(self._numbers)}"
        try:
            verdict = await self._store.take(principal.id, limits, tokens=tokens, lease=lease)
        except StoreAway as error:
            self._is_away(error)
            return None
        if verdict.refused is not None:
            raise Refused(verdict, tokens)
        counted = limits.tokens_per_minute is not None
        return Lease(key=principal.id, id=lease, tokens=tokens, counted=counted, standing=verdict.standing)

    def settle(self, lease: Lease, used: int | None) -> None:
        """Free a request's place. used: its tokens, None leaves them at what was reserved."""
        tokens = 0 if used is None else lease.tokens - used
        self._store.settle(lease.key, lease.standing.limits, tokens=tokens, lease=lease.id)

    def give_back(self, lease: Lease) -> None:
        """Free all that was taken: the request was never begun."""
        self._store.settle(lease.key, lease.standing.limits, tokens=lease.tokens, lease=lease.id, requests=1)

    async def standing(self, principal: Principal) -> Standing | None:
        """What is left; None where nothing is limited, or the store is away."""
        limits = self.limits_of(principal)
        if limits is None or self._clock() < self._asked_again:
            return None
        try:
            return await self._store.standing(principal.id, limits)
        except StoreAway as error:
            self._asked_again = self._clock() + AWAY_S
            logger.warning("rate limits cannot be read: %s", error)
            return None

    async def close(self) -> None:
        """Let go of the store."""
        await self._store.close()

    def _reserved(self, estimate: Estimate, per_minute: int | None) -> int:
        if per_minute is None:
            return 0
        # A guess must not make a request impossible: only what it says itself may.
        return max(estimate.total(0), min(estimate.total(self._unsaid), per_minute))

    def _asks(self) -> bool:
        if self._clock() >= self._asked_again:
            return True
        if self._closed:
            raise _unavailable()
        return False

    def _is_away(self, error: StoreAway) -> None:
        self._asked_again = self._clock() + AWAY_S
        if self._closed:
            logger.warning("rate limits cannot be counted, limited keys are refused: %s", error)
            raise _unavailable() from error
        logger.warning("rate limits cannot be counted, requests go on without: %s", error)


class Refused(Exception):
    """A request is over a limit. standing: what is left. error: what the client is told."""

    def __init__(self, verdict: Verdict, tokens: int) -> None:
        super().__init__(verdict.refused)
        self.standing = verdict.standing
        self.error = _refusal(verdict, tokens)


def _refusal(verdict: Verdict, tokens: int) -> Overloaded:
    limits = verdict.standing.limits
    if verdict.refused is Limited.CONCURRENT:
        most, what = limits.concurrent_requests, "requests at once"
        asked = "this one is one more"
    elif verdict.refused is Limited.TOKENS:
        most, what = limits.tokens_per_minute, "tokens a minute"
        asked = f"this request asks for up to {tokens}, and {max(0, math.floor(verdict.standing.tokens))} are left"
    else:
        most, what = limits.requests_per_minute, "requests a minute"
        asked = "all are used"
    if math.isinf(verdict.wait_s):
        return NeverWithinLimit(
            f"The limit of this key is {most} {what}, and this request alone asks for {max(tokens, 1)}",
            hint="waiting does not help: ask for fewer tokens, or for a higher limit",
        )
    return Overloaded(
        f"Rate limit reached: {most} {what} for this key; {asked}",
        hint=f"try again in {verdict.wait_s:.3g} s",
        retry_after_s=verdict.wait_s,
    )


def _or(own: int | None, default: int | None) -> int | None:
    return default if own is None else own


def _unavailable() -> Unavailable:
    return Unavailable(
        "Rate limits cannot be counted just now", hint="limits.redis does not answer", retry_after_s=AWAY_S
    )
