"""Items in batches: of so many, as `itertools.batched` gives them from Python 3.12 on, or of so much."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TypeVar

Item = TypeVar("Item")


def batched(items: Sequence[Item], size: int) -> Iterator[Sequence[Item]]:
    """Slices of at most `size`, in order; none of nothing. A list gives lists."""
    return (items[first : first + size] for first in range(0, len(items), size))


def by_size(
    items: Iterable[Item], size_of: Callable[[Item], int], *, most: int, count: int | None = None
) -> Iterator[list[Item]]:
    """Lists of at most `count` items whose sizes sum to at most `most`, in order; none of nothing.

    An item that is larger than that is alone. Items are taken as the lists are asked for.
    """
    batch: list[Item] = []
    size = 0
    for item in items:
        own = size_of(item)
        if batch and (len(batch) == count or size + own > most):
            yield batch
            batch, size = [], 0
        batch.append(item)
        size += own
    if batch:
        yield batch
