"""What one key has used, and whether it may use more: pure, and the meaning that Redis' script repeats."""

import math
from dataclasses import dataclass, field
from enum import StrEnum

from deployments.gateway.limits.bucket import Bucket, full, full_in_s, wait_s
from deployments.gateway.principal import Limits

CONCURRENT_WAIT_S = 1.0  # nobody knows when one of the running requests ends


class Limited(StrEnum):
    """Which limit refused a request."""

    REQUESTS = "requests"
    TOKENS = "tokens"
    CONCURRENT = "concurrent"


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What is left of the limits. reset_*: seconds until nothing of the limit would be used any more."""

    limits: Limits
    requests: float = 0.0
    tokens: float = 0.0
    requests_reset_s: float = 0.0
    tokens_reset_s: float = 0.0


def tighter(one: Standing, other: Standing) -> Standing:
    """Of two accounts that bind one request: of each limit, the one of which less is left."""
    by_requests = min((one, other), key=lambda at: _left(at.requests, at.limits.requests_per_minute))
    by_tokens = min((one, other), key=lambda at: _left(at.tokens, at.limits.tokens_per_minute))
    return Standing(
        limits=Limits(
            requests_per_minute=by_requests.limits.requests_per_minute,
            tokens_per_minute=by_tokens.limits.tokens_per_minute,
        ),
        requests=by_requests.requests,
        tokens=by_tokens.tokens,
        requests_reset_s=by_requests.requests_reset_s,
        tokens_reset_s=by_tokens.tokens_reset_s,
    )


def _left(level: float, limit: int | None) -> float:
    return math.inf if limit is None else level


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """Whether a request may go on. refused: by which limit. wait_s: until it may; infinity is never."""

    standing: Standing
    refused: Limited | None = None
    wait_s: float = 0.0


@dataclass(slots=True, kw_only=True)
class Account:
    """One key's use. A limit that the key has not is not counted."""

    requests: Bucket | None = None
    tokens: Bucket | None = None
    running: set[str] = field(default_factory=set)

    def take(self, limits: Limits, *, tokens: int, lease: str, now: float) -> Verdict:
        """Take a request, its tokens and a place among the running ones: all three, or nothing."""
        self._fill(limits, now)
        refused, wait = self._refusal(limits, tokens)
        if refused is None:
            if self.requests is not None:
                self.requests = self.requests.less(1)
            if self.tokens is not None:
                self.tokens = self.tokens.less(tokens)
            self.running.add(lease)
        return Verdict(standing=self._standing(limits), refused=refused, wait_s=wait)

    def settle(self, limits: Limits, *, lease: str, tokens: int, requests: int = 0, now: float) -> None:
        """Give back what was taken and not used. tokens: below 0 where more was used than taken."""
        self._fill(limits, now)  # first: what is used now must not be paid from what overflowed before
        self.running.discard(lease)
        if self.tokens is not None:
            self.tokens = self.tokens.less(-tokens)
        if self.requests is not None and requests:
            self.requests = self.requests.less(-requests)

    def standing(self, limits: Limits, now: float) -> Standing:
        """What is left now."""
        self._fill(limits, now)
        return self._standing(limits)

    def idle(self, now: float) -> bool:
        """Whether forgetting it changes nothing: nothing runs, and a minute has filled what was used."""
        used = [bucket for bucket in (self.requests, self.tokens) if bucket is not None]
        return not self.running and all(bucket.level >= 0 and now - bucket.at >= 60 for bucket in used)

    def _fill(self, limits: Limits, now: float) -> None:
        rpm, tpm = limits.requests_per_minute, limits.tokens_per_minute
        self.requests = None if rpm is None else self.requests.filled(rpm, now) if self.requests else full(rpm, now)
        self.tokens = None if tpm is None else self.tokens.filled(tpm, now) if self.tokens else full(tpm, now)

    def _refusal(self, limits: Limits, tokens: int) -> tuple[Limited | None, float]:
        """The limit that keeps the request waiting longest, with that time."""
        waits: dict[Limited, float] = {}
        if self.requests is not None and limits.requests_per_minute is not None:
            waits[Limited.REQUESTS] = wait_s(self.requests.level, 1, limits.requests_per_minute)
        if self.tokens is not None and limits.tokens_per_minute is not None:
            waits[Limited.TOKENS] = wait_s(self.tokens.level, tokens, limits.tokens_per_minute)
        most = limits.concurrent_requests
        if most is not None and len(self.running) >= most:
            waits[Limited.CONCURRENT] = CONCURRENT_WAIT_S if most else math.inf
        longest = max(waits, key=waits.__getitem__, default=None)
        if longest is None or waits[longest] == 0:
            return None, 0.0
        return longest, waits[longest]

    def _standing(self, limits: Limits) -> Standing:
        rpm, tpm = limits.requests_per_minute or 0, limits.tokens_per_minute or 0
        requests = self.requests.level if self.requests else 0.0
        tokens = self.tokens.level if self.tokens else 0.0
        return Standing(
            limits=limits,
            requests=requests,
            tokens=tokens,
            requests_reset_s=full_in_s(requests, rpm),
            tokens_reset_s=full_in_s(tokens, tpm),
        )
