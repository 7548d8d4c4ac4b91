"""Which points of a grid a sample takes: pure, the same for the same seed, on any machine and any Python.

Draws come from a hash and not from a generator, so that a larger sample of the same seed holds the smaller one.
"""

from array import array
from collections.abc import Callable, Iterable, Sequence
from hashlib import blake2b
from math import prod
from typing import Literal, Self

from pydantic import Field, model_validator

from pipelines.sweeps.strict import Strict

ENUMERATED = 200_000  # combinations that are looked at one by one; a second or so
TRIES = 200  # draws for each point wanted of a grid too large to look through
DRAWN = 2**64  # different values of a draw
LAYOUTS = 16  # of a latin hypercube, of which the one with the most distinct points is taken

Allowed = Callable[[int], bool]


class Sample(Strict):
    """How combinations are chosen. grid: all; random: `count` of them, each at most once.

    latin_hypercube: `count` points spread so that each parameter's range is covered evenly; points that fall on
    the same values count once.
    """

    kind: Literal["grid", "random", "latin_hypercube"]
    count: int | None = Field(None, ge=1, le=ENUMERATED)
    seed: int = Field(0, ge=0, lt=2**63)

    @model_validator(mode="after")
    def _counted(self) -> Self:
        if (self.kind == "grid") != (self.count is None):
            raise ValueError(
                "a grid is taken whole; leave count out" if self.count else f"{self.kind} needs a count"
            )
        return self


def places_of(found: Iterable[int], total: int) -> Sequence[int]:
    """Places of a grid of so many, in little memory where they fit into machine words."""
    return array("q", found) if total <= 2**63 else list(found)


def random_places(total: int, count: int, seed: int, allowed: Allowed) -> Sequence[int]:
    """Places of a grid, ascending. Fewer than `count` where no more are allowed, or none was hit in many tries."""
    if total <= ENUMERATED:
        there = sorted(filter(allowed, range(total)), key=lambda place: (_draw(seed, "random", place), place))
        return places_of(sorted(there[:count]), total)
    chosen: set[int] = set()
    for attempt in range(TRIES * count):
        place = _draw_below(total, seed, attempt)
        if place not in chosen and allowed(place):
            chosen.add(place)
            if len(chosen) == count:
                break
    return places_of(sorted(chosen), total)


def latin_places(sizes: Sequence[int], count: int, seed: int, allowed: Allowed) -> Sequence[int]:
    """Places of a grid with axes of these sizes, ascending; those that several points share are there once.

    Of each axis every part of its range gets its share: of `count` equal parts each holds one point.
    """
    layouts = (_latin(sizes, count, seed, layout) for layout in range(LAYOUTS))
    best: set[int] = set()
    for places in layouts:
        if len(places) > len(best):
            best = places
        if len(best) == count:
            break
    return places_of(sorted(filter(allowed, best)), prod(sizes))


def _latin(sizes: Sequence[int], count: int, seed: int, layout: int) -> set[int]:
    places = [0] * count
    for axis, size in enumerate(sizes):
        key = f"{layout} {axis}"
        parts = sorted(range(count), key=lambda part: (_draw(seed, f"part {key}", part), part))
        for point, part in enumerate(parts):
            # Where an axis has fewer values than there are points, a part is a piece of one value.
            within = _draw(seed, f"within {key}", point)
            places[point] = places[point] * size + (part * DRAWN + within) * size // (count * DRAWN)
    return set(places)


def _draw_below(total: int, seed: int, attempt: int) -> int:
    """A place of a grid of so many. Beyond 2^64 draws are longer, or its first axis would stand still."""
    if total <= DRAWN:
        return _draw(seed, "place", attempt) % total
    words = (total.bit_length() + 127) // 64  # a word to spare, so that all places are equally likely
    long = 0
    for word in range(words):
        long = long * DRAWN + _draw(seed, f"place {word}", attempt)
    return long % total


def _draw(seed: int, what: str, number: int) -> int:
    """A number below DRAWN, each as likely."""
    return int.from_bytes(blake2b(f"{seed} {what} {number}".encode(), digest_size=8).digest())
