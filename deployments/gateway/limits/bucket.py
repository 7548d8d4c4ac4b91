"""A token bucket, pure: time is an argument, in seconds of any clock that does not go back.

It holds what may be used in a minute and refills evenly, so that after a pause a minute's worth may come at once.
"""

import math
from dataclasses import dataclass

ROUNDING = 1e-6  # of a request or token: what floating point may lose between a wait and its end


@dataclass(frozen=True, slots=True, kw_only=True)
class Bucket:
    """level: what was in it at the moment `at`. Below 0 it is in debt: more was used than was asked for."""

    level: float
    at: float

    def filled(self, per_minute: int, now: float) -> "Bucket":
        """The bucket as it is now. A limit that was lowered meanwhile holds at once."""
        gained = max(0.0, now - self.at) * per_minute / 60
        return Bucket(level=min(self.level + gained, float(per_minute)), at=max(now, self.at))

    def less(self, cost: float) -> "Bucket":
        """The bucket with `cost` taken out, or put back where it is negative; the next filling caps it."""
        return Bucket(level=self.level - cost, at=self.at)


def full(per_minute: int, now: float) -> Bucket:
    """The bucket of somebody who has used nothing yet."""
    return Bucket(level=float(per_minute), at=now)


def wait_s(level: float, cost: float, per_minute: int) -> float:
    """How long until `cost` is there: 0 where it is, infinity where it is more than the bucket ever holds."""
    if cost > per_minute:
        return math.inf
    missing = cost - level
    return 0.0 if missing <= ROUNDING else missing * 60 / per_minute


def full_in_s(level: float, per_minute: int) -> float:
    """How long until the bucket is full again."""
    return 0.0 if per_minute <= 0 else max(0.0, per_minute - level) * 60 / per_minute
