"""Durations counted in buckets that grow by a factor, so that any number of processes' counts simply add up.

A percentile of the counts is within `ERROR` of the true one, whatever the durations are (the DDSketch of Masson,
Rim and Lee, 2019): every bucket is `GROWTH` times as wide as the one before it.
"""

import math
from collections.abc import Mapping

ERROR = 0.05  # relative, of any percentile: about 150 buckets between a millisecond and an hour
GROWTH = (1 + ERROR) / (1 - ERROR)
LEAST_S, MOST_S = 0.001, 86_400.0  # what is shorter or longer counts as that

_SCALE = 1 / math.log(GROWTH)


def bucket_of(seconds: float) -> int:
    """The bucket that a duration counts in; 0 is up to a millisecond."""
    if seconds <= LEAST_S:
        return 0
    return math.ceil(math.log(min(seconds, MOST_S) / LEAST_S) * _SCALE)


def percentile(counts: Mapping[int, int], share: float) -> float | None:
    """Seconds that a share (0 to 1) of the counted durations does not exceed; None where nothing was counted."""
    rank = share * (sum(counts.values()) - 1)
    passed = 0
    for bucket in sorted(counts):
        passed += counts[bucket]
        if passed > rank:
            return LEAST_S if bucket == 0 else LEAST_S * 2 * GROWTH**bucket / (1 + GROWTH)
    return None
