"""How much memory there is for models, how much one is thought to take, and how much it takes."""

import os
from typing import TYPE_CHECKING

from cluster.catalog import GIB
from cluster.engines.gpu_share import share
from cluster.gpus import Nvml, sizes_gib
from cluster.settings.engines import VllmSettings
from cluster.settings.models import ModelSettings

if TYPE_CHECKING:
    import psutil

CPU_SHARE = 0.8  # of what was free when the fleet began: the rest is for requests, documents and sweeps
GPU_SHARE = 0.95


def budget_gib(library: Nvml | None, *, gpus_in_cluster: float | None = None) -> float:
    """What all loaded models together may take: of the GPUs where models run on them, else of what is free.

    library: None where no model runs on a GPU, or there is none. gpus_in_cluster: how many Ray knows of; those of
    other machines are taken to be as large as this one's.
    """
    sizes = sizes_gib(library)
    if sizes:
        count = max(gpus_in_cluster or 0.0, float(len(sizes)))
        return GPU_SHARE * count * sum(sizes) / len(sizes)
    import psutil

    return CPU_SHARE * float(psutil.virtual_memory().available) / GIB


def expected_gib(model: ModelSettings, *, reserved: float, sizes: tuple[float, ...]) -> float:
    """What a model is thought to take before anybody has measured it; 0 is unknown.

    reserved: GPUs that each replica has. vLLM takes its whole share of a GPU at once, whatever its weights are.
    """
    if reserved and sizes and isinstance(model.engine, VllmSettings):
        total = min(sizes)
        part = share(model.engine, memory_gib=model.memory_gib, gpus=reserved, total_gib=total)
        return part * total * model.engine.tensor_parallel_size
    return model.memory or 0.0


def taken_gib() -> float:
    """What this process and those it has started take of the machine's memory, shared pages left out."""
    import psutil

    taken = 0.0
    for one in _processes():
        try:
            taken += float(one.memory_full_info().uss)
        except psutil.Error:  # it ended meanwhile
            continue
    return taken / GIB


def own_pids() -> frozenset[int]:
    """This process, and those it has started."""
    return frozenset(one.pid for one in _processes())


def _processes() -> "tuple[psutil.Process, ...]":
    import psutil

    process = psutil.Process(os.getpid())
    return (process, *process.children(recursive=True))
