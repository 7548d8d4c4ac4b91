"""Which combinations of a grid are left out: patterns of values, no language of their own.

    constraints:
      - exclude: {temperature: 0, top_p: [0.5, 0.9]}            # greedy, and one of these
      - when: {temperature: {above: 1}}                         # whatever is hot …
        then: {top_p: {at_most: 0.5}, max_tokens: 64}           # … must be this
      - exclude: {min_tokens: {above: max_tokens}}              # a comparison of two parameters

A pattern holds where all that it names hold: a value (equal), a list (one of them), or comparisons (all of them).
Settings of retrieval are named `retrieval.limit` and so on. What a combination does not send holds nowhere.
"""

import math
from collections.abc import Callable, Collection, Iterator, Mapping
from operator import ge, gt, le, lt
from typing import Any, Self

from pydantic import Field, model_validator

from pipelines.sweeps.strict import Strict

COMPARISONS: dict[str, Callable[[Any, Any], bool]] = {"above": gt, "below": lt, "at_least": ge, "at_most": le}

Pattern = dict[str, Any]
Combination = Mapping[str, Any]


class Constraint(Strict):
    """One rule: `exclude`, or `when` with `then`."""

    exclude: Pattern | None = Field(None, min_length=1)
    when: Pattern | None = Field(None, min_length=1)
    then: Pattern | None = Field(None, min_length=1)

    @model_validator(mode="after")
    def _one_rule(self) -> Self:
        if (self.exclude is None) == (self.when is None) or (self.when is None) != (self.then is None):
            raise ValueError("a constraint is either `exclude`, or `when` together with `then`")
        for pattern in self._patterns():
            for name, condition in pattern.items():
                _check(name, condition)
        return self

    def names(self) -> Iterator[str]:
        """All parameters that it looks at."""
        for pattern in self._patterns():
            yield from pattern
            for condition in pattern.values():
                if isinstance(condition, Mapping):
                    yield from (bound for bound in condition.values() if isinstance(bound, str))

    def allows(self, combination: Combination) -> bool:
        """Whether it lets a combination be."""
        if self.exclude is not None:
            return not _holds(self.exclude, combination)
        assert self.when is not None
        assert self.then is not None
        return not _holds(self.when, combination) or _holds(self.then, combination)

    def _patterns(self) -> Iterator[Pattern]:
        return (pattern for pattern in (self.exclude, self.when, self.then) if pattern is not None)


def unknown_name(constraints: Collection[Constraint], known: Collection[str]) -> str | None:
    """The first parameter that a constraint looks at and no combination has."""
    return next((name for rule in constraints for name in rule.names() if name not in known), None)


def _check(name: str, condition: object) -> None:
    if isinstance(condition, Mapping):
        unknown = sorted(set(map(str, condition)) - COMPARISONS.keys())
        if unknown or not condition:
            known = ", ".join(COMPARISONS)
            raise ValueError(
                f"{name}: unknown comparison {unknown[0]!r}; known: {known}" if unknown else f"{name}: {{}}"
            )
        for bound in condition.values():
            if isinstance(bound, bool) or not isinstance(bound, int | float | str):
                raise ValueError(f"{name}: compared with a number, or another parameter's name; got {bound!r}")
    within = list(condition.values()) if isinstance(condition, Mapping) else condition
    for value in within if isinstance(within, list) else [within]:
        if isinstance(value, float) and not math.isfinite(value):
            raise ValueError(f"{name}: {value!r} is no value")


def _holds(pattern: Pattern, combination: Combination) -> bool:
    return all(_fits(name, condition, combination) for name, condition in pattern.items())


def _fits(name: str, condition: Any, combination: Combination) -> bool:
    if name not in combination:
        return False
    value = combination[name]
    if isinstance(condition, Mapping):
        return all(_compares(COMPARISONS[how], value, bound, combination) for how, bound in condition.items())
    return _equal(value, condition) or (
        isinstance(condition, list) and any(_equal(value, one) for one in condition)
    )


def _equal(value: Any, other: Any) -> bool:
    """Python's, but true is not 1 and false is not 0."""
    return bool(value == other) and isinstance(value, bool) == isinstance(other, bool)


def _compares(how: Callable[[Any, Any], bool], value: Any, bound: Any, combination: Combination) -> bool:
    other = combination.get(bound) if isinstance(bound, str) else bound
    numbers = isinstance(value, int | float) and isinstance(other, int | float)
    return numbers and how(value, other)
