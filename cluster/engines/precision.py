"""Which numbers an engine computes with where the settings say `auto`."""

from typing import Any


def computes_bfloat16() -> bool:
    """Whether this processor has instructions for bfloat16. Imports torch.

    One without converts every number before it multiplies: a fifth of float32's speed for a single product, and
    half the throughput of vLLM with spark-chat at 16 clients and more.
    """
    import torch

    return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())


def torch_dtype(name: str, device: str) -> Any:
    """The torch type of the settings' `dtype`; `auto` is half precision where the hardware computes it natively."""
    import torch

    if name != "auto":
        return getattr(torch, name)
    if device == "cuda":
        return torch.float16
    return torch.bfloat16 if computes_bfloat16() else torch.float32


def on_cpu(dtype: str) -> str:
    """The settings' `dtype` for a CPU: `auto` is float32 where bfloat16 would be slower."""
    return "float32" if dtype == "auto" and not computes_bfloat16() else dtype
