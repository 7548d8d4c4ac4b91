"""The configurations of a sweep, without its models: parameters and settings of retrieval, decided and not run.

A grid is never expanded to be counted. It is looked through only where constraints or a random sample ask for it,
and then it may have `sample.ENUMERATED` combinations.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from cluster.errors import PlanTooLarge
from pipelines.sweeps.axis import AnyAxis
from pipelines.sweeps.constraints import Constraint
from pipelines.sweeps.sample import ENUMERATED, Sample, latin_places, places_of, random_places

SHOWN_COUNT = 10**15
RETRIEVAL = "retrieval."  # before the names of its settings


@dataclass(frozen=True, slots=True, kw_only=True)
class Configuration:
    """What a cell sends. retrieval: None where nothing is searched for."""

    parameters: Mapping[str, Any]
    retrieval: Mapping[str, Any] | None


@dataclass(frozen=True, kw_only=True)  # no slots: what was looked through is kept
class Configurations:
    """All of a sweep. axes: parameters, then settings of retrieval; the last changes fastest.

    listed: combinations that were written out, which take the place of the parameters' grid; each is joined to
    `axes`. Raises PlanTooLarge from `count` where a grid would have to be looked through and is too large.
    """

    axes: Mapping[str, AnyAxis]
    listed: Sequence[Mapping[str, Any]] | None = None
    sample: Sample | None = None
    constraints: Sequence[Constraint] = ()
    _values: dict[str, list[Any]] = field(default_factory=dict, repr=False, compare=False)

    @cached_property
    def grid(self) -> int:
        """Combinations before a sample and the constraints."""
        count = 1
        for size in self._sizes:
            count *= size
        return count

    @cached_property
    def count(self) -> int:
        """Configurations."""
        return self.grid if self._places is None else len(self._places)

    def at(self, index: int) -> Configuration:
        """The configuration at a place from 0."""
        flat = self._combination(index if self._places is None else self._places[index])
        retrieval = {name.removeprefix(RETRIEVAL): v for name, v in flat.items() if name.startswith(RETRIEVAL)}
        parameters = {name: value for name, value in flat.items() if not name.startswith(RETRIEVAL)}
        return Configuration(parameters=parameters, retrieval=retrieval or None)

    def notes(self) -> list[str]:
        """What became of a sample and of the constraints, in sentences."""
        if self._places is None:
            return []
        found = []
        wanted = (
            self.grid if self.sample is None or self.sample.count is None else min(self.sample.count, self.grid)
        )
        if self.count < wanted:
            why = "the constraints" if self.constraints else "points that fall on the same values"
            if self.constraints and self.sample is not None and self.sample.kind == "latin_hypercube":
                why += " and points that fall on the same values"
            found.append(f"{wanted - self.count:,} of {wanted:,} combinations are left out by {why}")
        if self.sample is not None and self.sample.count is not None and self.sample.count > self.grid:
            found.append(f"the sample takes all {self.grid:,} combinations: there are no {self.sample.count:,}")
        return found

    @cached_property
    def _sizes(self) -> list[int]:
        own = [] if self.listed is None else [len(self.listed)]
        return own + [axis.count for axis in self.axes.values()]

    @cached_property
    def _places(self) -> Sequence[int] | None:
        """The places of the grid that are taken; None for all."""
        sampled = self.sample is not None and self.sample.count is not None
        if not sampled and not self.constraints:
            return None
        if not self.grid:
            return []
        if sampled:
            assert self.sample is not None
            assert self.sample.count is not None
            count, seed = min(self.sample.count, self.grid), self.sample.seed
            if self.sample.kind == "random":
                return random_places(self.grid, count, seed, self._allowed)
            return latin_places(self._sizes, count, seed, self._allowed)
        if self.grid > ENUMERATED:
            raise PlanTooLarge(
                f"Constraints can look through {ENUMERATED:,} combinations; the grid has {readable(self.grid)}",
                hint="coarser steps, or sample: {kind: random, count: 1000}",
                param="constraints",
            )
        return places_of(filter(self._allowed, range(self.grid)), self.grid)

    def _allowed(self, place: int) -> bool:
        if not self.constraints:
            return True
        combination = self._combination(place)
        return all(rule.allows(combination) for rule in self.constraints)

    def _combination(self, place: int) -> dict[str, Any]:
        """All that one combination sends, by name."""
        found: list[tuple[str, Any]] = []
        for name, axis in reversed(list(self.axes.items())):
            place, at = divmod(place, axis.count)
            found.append((name, self._value(name, axis, at)))
        flat = dict(reversed(found))
        return flat if self.listed is None else {**self.listed[place], **flat}

    def _value(self, name: str, axis: AnyAxis, at: int) -> Any:
        if axis.count > ENUMERATED:
            return axis.at(at)
        if name not in self._values:  # exact steps are slow, and each is asked for once a cell
            self._values[name] = [axis.at(place) for place in range(axis.count)]
        return self._values[name][at]


def readable(number: int) -> str:
    """A count to read; steps close to nothing make counts that fill pages."""
    return f"{number:,}" if number < SHOWN_COUNT else f"more than {SHOWN_COUNT:,}"
