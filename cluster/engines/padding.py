"""Rows of numbers of several lengths as one tensor, as transformers want them."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


def padded(rows: Sequence[Sequence[int]], filler: int = 0) -> "Tensor":
    """The rows, the shorter ones filled up at their ends: int64, shape (n, the longest)."""
    import torch

    longest = max(map(len, rows), default=0)
    found = torch.full((len(rows), longest), filler)
    for place, row in enumerate(rows):
        found[place, : len(row)] = torch.tensor(row, dtype=torch.int64)
    return found


def mask(rows: Sequence[Sequence[int]]) -> "Tensor":
    """1 where `padded` has a row's own numbers, else 0."""
    return padded([[1] * len(row) for row in rows])
