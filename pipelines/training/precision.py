"""In which numbers a model is trained and measured: bfloat16 where the hardware multiplies it, else float32."""

from contextlib import AbstractContextManager
from functools import cache

import torch

from cluster.engines.precision import bfloat16_gains


def device() -> torch.device:
    """The device to train on: CUDA where there is one."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


@cache
def compute_dtype() -> torch.dtype:
    """The numbers to compute with; parameters stay in float32 for the optimizer."""
    fast = torch.cuda.is_available() or bfloat16_gains()
    return torch.bfloat16 if fast else torch.float32


def mixed_precision(place: torch.device) -> AbstractContextManager[object]:
    """Multiply matrices in `compute_dtype` on a device."""
    return torch.autocast(place.type, torch.bfloat16, enabled=compute_dtype() is torch.bfloat16)
