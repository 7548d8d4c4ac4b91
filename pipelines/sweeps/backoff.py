"""How long to wait before a try again."""

import random

FIRST_WAIT_S, LONGEST_WAIT_S = 0.5, 15.0


def wait_s(waits: int, advised: float | None) -> float:
    """Twice as long each time, spread by half, so that those that failed together don't return together.

    waits: how many times it has waited, this one included. advised: by the one that refused, in seconds.
    """
    longest = min(LONGEST_WAIT_S, FIRST_WAIT_S * 2.0 ** min(waits, 10))
    return max(advised or 0.0, longest * random.uniform(0.5, 1.0))  # noqa: S311 - no secret depends on it
