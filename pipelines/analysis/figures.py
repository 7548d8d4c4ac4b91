"""Numbers as they leave the statistics: what is not finite is None, so that JSON and sheets can carry it."""

import math


def known(value: float) -> float | None:
    """The number, or None for NaN and infinity."""
    return float(value) if math.isfinite(value) else None
