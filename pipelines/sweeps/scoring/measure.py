"""What a measure says of one answer: raw features, and a score or the reason why there is none."""

from collections.abc import Mapping
from dataclasses import dataclass, field

Feature = float | int | bool | str
"""A raw figure. Not a score: it has no bounds, and no better or worse."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measure:
    """One measure of one answer. score: 0 to 100, or None: then `reason` says why, and nothing is guessed."""

    score: float | None = None
    reason: str | None = None
    features: Mapping[str, Feature] = field(default_factory=dict)


def scored(score: float, **features: Feature) -> Measure:
    """A measure with a score, held within 0 to 100."""
    return Measure(score=100 * share(score / 100), features=features)


def absent(reason: str, **features: Feature) -> Measure:
    """A measure without a score. reason: in words, for the person who looks at the empty cell."""
    return Measure(reason=reason, features=features)


def share(value: float) -> float:
    """A number held within 0 to 1."""
    return min(1.0, max(0.0, value))
