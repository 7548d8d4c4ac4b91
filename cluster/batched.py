"""A sequence in batches, as `itertools.batched` gives them from Python 3.12 on."""

from collections.abc import Iterator, Sequence
from typing import TypeVar

Item = TypeVar("Item")


def batched(items: Sequence[Item], size: int) -> Iterator[Sequence[Item]]:
    """Slices of at most `size`, in order; none of nothing. A list gives lists."""
    return (items[first : first + size] for first in range(0, len(items), size))
