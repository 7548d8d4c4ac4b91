"""The values that one parameter of a sweep takes: listed, stepped from a least to a greatest, or other choices.

A range is never expanded to be counted, and its values carry no float dust: 0.1 to 1.0 by 0.1 is ten values,
each of them the float that a person would have written.
"""

import json
import math
from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, TypeVar

Number = int | float
Value = TypeVar("Value", bound=Hashable)


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """What one value of a parameter may be. above: exclusive lower bound, instead of `least`."""

    whole: bool = False
    least: float | None = None
    above: float | None = None
    most: float

    def check(self, value: object) -> Number:
        """The value as this parameter's number. Raises ValueError saying what would be right."""
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise ValueError(f"should be {self}, a list of such, or min, max and step; got {value!r}")
        if self.whole and not isinstance(value, int):
            raise ValueError(f"should be {self}; got {value!r}")
        low = value < self.least if self.least is not None else self.above is not None and value <= self.above
        if low or not value <= self.most or not math.isfinite(value):
            raise ValueError(f"should be {self}; got {value!r}")
        return value if self.whole else float(value) + 0.0  # -0.0 and 0.0 are one value

    def __str__(self) -> str:
        kind = "a whole number" if self.whole else "a number"
        low = f"from {self.least:g}" if self.least is not None else f"above {self.above:g}"
        return f"{kind} {low} to {self.most:,.15g}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """Values as they were written."""

    values: tuple[Number, ...]

    @property
    def count(self) -> int:
        """How many values."""
        return len(self.values)

    def at(self, index: int) -> Number:
        """The value at a place from 0."""
        return self.values[index]

    def total(self) -> Number:
        """The sum of all values."""
        return sum(self.values)

    def dump(self) -> Any:
        """As it is written in a spec."""
        return list(self.values)


@dataclass(frozen=True, slots=True, kw_only=True)
class Stepped:
    """least, least + step, … up to and with `most`."""

    least: Number
    most: Number
    step: Number
    whole: bool

    @property
    def count(self) -> int:
        """How many values."""
        return int((_exact(self.most) - _exact(self.least)) // _exact(self.step)) + 1

    def at(self, index: int) -> Number:
        """The value at a place from 0."""
        if not 0 <= index < self.count:
            raise IndexError(index)
        exact = _exact(self.least) + index * _exact(self.step)
        return int(exact) if self.whole else float(exact)

    def total(self) -> Number:
        """The sum of all values."""
        last = self.count - 1
        exact = self.count * _exact(self.least) + _exact(self.step) * last * (last + 1) / 2
        return int(exact) if self.whole else float(exact)

    def dump(self) -> Any:
        """As it is written in a spec."""
        return {"min": self.least, "max": self.most, "step": self.step}


@dataclass(frozen=True, slots=True, kw_only=True)
class Choices:
    """Values that are no numbers, each as JSON has it: texts, lists, objects, true and false."""

    values: tuple[Any, ...]

    @property
    def count(self) -> int:
        """How many values."""
        return len(self.values)

    def at(self, index: int) -> Any:
        """The value at a place from 0."""
        return self.values[index]

    def dump(self) -> Any:
        """As it is written in a spec."""
        return list(self.values)


Axis = Listed | Stepped
AnyAxis = Listed | Stepped | Choices


def read_axis(given: object, bounds: Bounds) -> Axis:
    """A value, a list of values, or `{min, max, step}`. Raises ValueError saying what would be right."""
    if isinstance(given, Listed | Stepped):
        return given
    if isinstance(given, Mapping):
        return _stepped(given, bounds)
    if not isinstance(given, list | tuple):
        return Listed(values=(bounds.check(given),))
    values = tuple(bounds.check(value) for value in given)
    twice = repeated(values)
    if twice is not None:
        raise ValueError(f"holds {twice!r} twice; repeats run a cell again")
    return Listed(values=values)


def read_choices(given: object, check: Callable[[Any], Any]) -> Choices:
    """A value, or a list of values; a value that is itself a list stands in a list. check: of one value.

    Raises ValueError saying what would be right.
    """
    if isinstance(given, Choices):
        return given
    values = tuple(check(value) for value in (given if isinstance(given, list | tuple) else (given,)))
    twice = repeated(json.dumps(value, sort_keys=True) for value in values)
    if twice is not None:
        raise ValueError(f"holds {twice} twice; repeats run a cell again")
    return Choices(values=values)


def repeated(values: Iterable[Value]) -> Value | None:
    """The first value that is there twice, or None."""
    seen: set[Value] = set()
    for value in values:
        if value in seen:
            return value
        seen.add(value)
    return None


def _stepped(given: Mapping[Any, Any], bounds: Bounds) -> Stepped:
    unknown = sorted(str(key) for key in given.keys() - {"min", "max", "step"})
    missing = [key for key in ("min", "max", "step") if key not in given]
    if unknown or missing:
        problem = f"unknown key {unknown[0]!r}" if unknown else f"{missing[0]} is missing"
        raise ValueError(f"a range has min, max and step; {problem}")
    least, most, step = bounds.check(given["min"]), bounds.check(given["max"]), given["step"]
    fits = isinstance(step, int) if bounds.whole else isinstance(step, int | float)
    if isinstance(step, bool) or not fits or not 0 < step < math.inf:
        raise ValueError(f"step should be a {'whole ' if bounds.whole else ''}number above 0; got {step!r}")
    if least > most:
        raise ValueError(f"min ({least:g}) is above max ({most:g})")
    if not bounds.whole and step < most - least and (least + step == least or most - step == most):
        raise ValueError(f"step ({step:g}) is too small: the values from {least:g} to {most:g} would not differ")
    # 1.0 and 1 are one step: a run is named by how its spec is written out.
    step = int(step) if step == int(step) else step
    return Stepped(least=least, most=most, step=step, whole=bounds.whole)


def _exact(value: Number) -> Fraction:
    """The decimal number that a person wrote, not the float that is nearest to it."""
    return Fraction(repr(value))
