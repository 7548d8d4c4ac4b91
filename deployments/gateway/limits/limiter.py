"""Rate limits by key: whose they are, what a refusal says, and what it means when the store is away."""

import logging
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import reduce
from itertools import count
from time import monotonic
from typing import Literal
from uuid import uuid4

from cluster.errors import NeverWithinLimit, Overloaded, Unavailable
from deployments.gateway.limits.account import Limited, Standing, Verdict, tighter
from deployments.gateway.limits.store import LimitStore, StoreAway
from deployments.gateway.limits.usage import Estimate
from deployments.gateway.principal import Limits, Principal

logger = logging.getLogger(__name__)

AWAY_S = 1.0  # a store that did not answer is not asked again for so long
NONE = Limits()


@dataclass(frozen=True, slots=True, kw_only=True)
class Bound:
    """An account that binds somebody's requests. shared: by all that a person does, in person and by keys."""

    key: str
    limits: Limits
    shared: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """What a running request has of one account."""

    bound: Bound
    tokens: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """What a running request has taken. standing: what was left after it, of the account that has less."""

    id: str
    taken: tuple[Taken, ...]
    standing: Standing

    @property
    def counted(self) -> bool:
        """Whether its tokens are."""
        return any(part.bound.limits.tokens_per_minute is not None for part in self.taken)


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

    def bounds_of(self, principal: Principal) -> tuple[Bound, ...]:
        """The accounts that bind a principal, its own first; none where nothing is limited.

        A default holds where neither the principal nor its owner says anything.
        """
        own, shared, default = principal.limits, principal.owner_limits, self._defaults
        if default is not NONE and default != NONE:
            own = Limits(**{name: _said(name, own, shared, default) for name in Limits.__slots__})
        found = () if own == NONE else (Bound(key=principal.id, limits=own),)
        if shared == NONE:
            return found
        # Not the owner's id, which is the key of what a person does in person.
        return (*found, Bound(key=f"{principal.owner}/all", limits=shared, shared=True))

    async def take(self, principal: Principal, estimate: Estimate) -> Lease | None:
        """Take what a request needs; None where nothing is limited.

        Raises Refused, Overloaded with what is left, and Unavailable while the store is away and that is closed.
        """
        bounds = self.bounds_of(principal)
        if not bounds or not self._asks():
            return None
        lease = f"{self._run}-{next(self._numbers)}"
        taken: list[Taken] = []
        standing: Standing | None = None
        try:
            for bound in bounds:
                tokens = self._reserved(estimate, bound.limits.tokens_per_minute)
                verdict = await self._store.take(bound.key, bound.limits, tokens=tokens, lease=lease)
                if verdict.refused is not None:
                    raise Refused(verdict, tokens, shared=bound.shared)
                taken.append(Taken(bound=bound, tokens=tokens))
                standing = verdict.standing if standing is None else tighter(standing, verdict.standing)
        except StoreAway as error:
            self._return(lease, taken)
            self._is_away(error)
            return None
        except BaseException:
            self._return(lease, taken)
            raise
        assert standing is not None
        return Lease(id=lease, taken=tuple(taken), standing=standing)

    def settle(self, lease: Lease, used: int | None) -> None:
        """Free a request's place. used: its tokens, None leaves them at what was reserved."""
        for part in lease.taken:
            tokens = 0 if used is None else part.tokens - used
            self._store.settle(part.bound.key, part.bound.limits, tokens=tokens, lease=lease.id)

    def give_back(self, lease: Lease) -> None:
        """Free all that was taken: the request was never begun."""
        self._return(lease.id, lease.taken)

    async def standing(self, principal: Principal) -> Standing | None:
        """What is left; None where nothing is limited, or the store is away."""
        bounds = self.bounds_of(principal)
        if not bounds or self._clock() < self._asked_again:
            return None
        try:
            return reduce(tighter, [await self._store.standing(bound.key, bound.limits) for bound in bounds])
        except StoreAway as error:
            self._asked_again = self._clock() + AWAY_S
            logger.warning("rate limits cannot be read: %s", error)
            return None

    async def close(self) -> None:
        """Let go of the store."""
        await self._store.close()

    def _return(self, lease: str, taken: Iterable[Taken]) -> None:
        for part in taken:
            bound = part.bound
            self._store.settle(bound.key, bound.limits, tokens=part.tokens, lease=lease, requests=1)

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

    def __init__(self, verdict: Verdict, tokens: int, *, shared: bool = False) -> None:
        super().__init__(verdict.refused)
        self.standing = verdict.standing
        self.error = _refusal(verdict, tokens, "this account" if shared else "this key")


def _refusal(verdict: Verdict, tokens: int, whose: str) -> Overloaded:
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
            f"The limit of {whose} is {most} {what}, and this request alone asks for {max(tokens, 1)}",
            hint="waiting does not help: ask for fewer tokens, or for a higher limit",
        )
    return Overloaded(
        f"Rate limit reached: {most} {what} for {whose}; {asked}",
        hint=f"try again in {verdict.wait_s:.3g} s",
        retry_after_s=verdict.wait_s,
    )


def _said(name: str, own: Limits, shared: Limits, default: Limits) -> int | None:
    """What holds of one limit: the own one, or else the default, where the shared account does not bind it."""
    said: int | None = getattr(own, name)
    if said is not None or getattr(shared, name) is not None:
        return said
    unsaid: int | None = getattr(default, name)
    return unsaid


def _unavailable() -> Unavailable:
    return Unavailable(
        "Rate limits cannot be counted just now", hint="limits.redis does not answer", retry_after_s=AWAY_S
    )
