"""In which numbers a model is trained and measured: bfloat16 where the hardware multiplies it, else float32."""

from contextlib import AbstractContextManager
from functools import cache

import torch


def device() -> torch.device:
    """The device to train on: CUDA where there is one."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


@cache
def compute_dtype() -> torch.dtype:
    """The numbers to compute with; parameters stay in float32 for the optimizer.

    A processor without instructions for bfloat16 multiplies it at a fifth of float32's speed.
    """
    fast = torch.cuda.is_available() or torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    return torch.bfloat16 if fast else torch.float32


def mixed_precision(place: torch.device) -> AbstractContextManager[object]:
    """Multiply matrices in `compute_dtype` on a device."""
    return torch.autocast(place.type, torch.bfloat16, enabled=compute_dtype() is torch.bfloat16)
