"""Scorers of one's own, by entry point of the group `heliostat.scorers`.

A package that is installed beside Heliostat declares

    [project.entry-points."heliostat.scorers"]
    politeness = "my_package.scorers:politeness"

and a spec may name `politeness`. A scorer is called with the answer's text, its prompt and the stored row (a
mapping of all columns), and gives a number from 0 to 100, or a mapping of them: `{"tone": 80}` becomes the score
`politeness_tone`. What it raises, or gives that is none of these, is one cell's absent score with the reason.
Its version is its attribute `version`, or else that of its package.
"""

import math
import re
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from cluster.errors import BadRequest
from pipelines.sweeps.scoring.measure import Measure, absent

GROUP = "heliostat.scorers"
NAME = re.compile(r"[a-z][a-z0-9_]{0,63}")
LONGEST = 300  # characters of a reason

Call = Callable[[str, str, Mapping[str, Any]], Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class CustomScorer:
    """A scorer under its name. version: with the name before it, as `politeness/1.2`."""

    name: str
    version: str
    call: Call

    def measure(self, text: str, prompt: str, row: Mapping[str, Any]) -> dict[str, Measure]:
        """Its scores of one answer by name; never raises."""
        try:
            given = self.call(text, prompt, row)
        except Exception as error:  # noqa: BLE001 - foreign code: whatever it raises is this cell's alone
            return {self.name: absent(f"the scorer failed: {type(error).__name__}: {error}"[:LONGEST])}
        if not isinstance(given, Mapping):
            return {self.name: _number(given)}
        if not given:
            return {self.name: absent("the scorer gave no score")}
        return {self._named(key): _number(value) for key, value in given.items()}

    def _named(self, key: object) -> str:
        part = re.sub(r"[^a-z0-9_]+", "_", str(key).lower())[:64].strip("_")
        return f"{self.name}_{part}" if part else self.name


def installed() -> dict[str, EntryPoint]:
    """The entry points by name; those whose names are no names of scorers are left out."""
    return dict(_found(tuple(sys.path)))


@lru_cache(1)
def _found(_path: tuple[str, ...]) -> dict[str, EntryPoint]:
    """Read once: it looks into every installed package, which takes a tenth of a second."""
    return {each.name: each for each in entry_points(group=GROUP) if NAME.fullmatch(each.name)}


def load(point: EntryPoint) -> CustomScorer:
    """The scorer behind an entry point. Raises BadRequest naming it where it cannot be loaded or called."""
    try:
        call = point.load()
    except Exception as error:  # noqa: BLE001 - foreign code is imported here
        raise BadRequest(
            f"The scorer {point.name!r} cannot be loaded: {type(error).__name__}: {error}"[:LONGEST],
            param="scorers",
        ) from None
    if not callable(call):
        raise BadRequest(f"The scorer {point.name!r} ({point.value}) is not callable", param="scorers")
    version = getattr(call, "version", None) or (point.dist.version if point.dist else None) or "unversioned"
    return CustomScorer(name=point.name, version=f"{point.name}/{version}", call=call)


def _number(given: object) -> Measure:
    import numpy as np

    if isinstance(given, bool | np.bool_) or not isinstance(given, int | float | np.integer | np.floating):
        return absent(f"the scorer gave {type(given).__name__}, not a number or a mapping of numbers")
    try:
        value = float(given)
    except OverflowError:  # an int may be too large
        value = math.inf
    if not 0 <= value <= 100:
        return absent(f"the scorer gave {given!s:.40}; a score is a number from 0 to 100")
    return Measure(score=value)
