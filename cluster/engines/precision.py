"""Which numbers an engine computes with where the settings say `auto`."""

import timeit
from functools import cache
from typing import Any

from cluster.engines.openmp import one_thread

GAIN = 0.8  # of float32's time: less would not pay for the digits
ROUNDS = 15


@cache
def bfloat16_gains() -> bool:
    """Whether this processor multiplies bfloat16 faster than float32: measured once, in 20 ms. Imports torch.

    Its flags do not say. AMX is many times as fast and Zen 4's AVX-512 twice; an Intel processor whose AMX is
    hidden from a virtual machine has AVX-512 BF16 at half of float32's speed; one with neither converts every
    number first, at a fifth.
    """
    import torch

    if not (torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()):
        return False
    with one_thread():  # vLLM forks this process, and OpenMP's threads would not come along
        return _product_s(torch.bfloat16) < GAIN * _product_s(torch.float32)


def _product_s(dtype: Any) -> float:
    """The least seconds of a product of a layer's size: what else the machine does only adds."""
    import torch
    from torch.nn.functional import linear

    with torch.inference_mode():
        given, weight = torch.ones(256, 512, dtype=dtype), torch.ones(512, 512, dtype=dtype)
        linear(given, weight)
        return min(timeit.repeat(lambda: linear(given, weight), number=1, repeat=ROUNDS))


def torch_dtype(name: str, device: str) -> Any:
    """The torch type of the settings' `dtype`; `auto` is half precision where the hardware gains by it.

    What is to be computed in int8 is read in float32 and rounded afterwards.
    """
    import torch

    if name == "int8":
        return torch.float32
    if name != "auto":
        return getattr(torch, name)
    if device == "cuda":
        return torch.float16
    return torch.bfloat16 if bfloat16_gains() else torch.float32


def on_cpu(dtype: str) -> str:
    """The settings' `dtype` for a CPU: `auto` is float32 where bfloat16 would be slower."""
    return "float32" if dtype == "auto" and not bfloat16_gains() else dtype
