"""How much memory there is for models, and how much one takes."""

import os

GIB = 1024**3
CPU_SHARE = 0.8  # of what was free when the fleet began: the rest is for requests, documents and sweeps
GPU_SHARE = 0.95


def budget_gib(*, gpu: bool) -> float:
    """What all loaded models together may take: of the GPUs where they run on them, else of what is free."""
    if gpu:
        import torch

        if torch.cuda.is_available():
            sizes = [
                torch.cuda.get_device_properties(place).total_memory for place in range(torch.cuda.device_count())
            ]
            return GPU_SHARE * sum(sizes) / GIB
    import psutil

    return CPU_SHARE * float(psutil.virtual_memory().available) / GIB


def taken_gib() -> float:
    """What this process and those it has started take of the machine's memory, shared pages left out."""
    import psutil

    process = psutil.Process(os.getpid())
    taken = 0.0
    for one in (process, *process.children(recursive=True)):
        try:
            taken += float(one.memory_full_info().uss)
        except psutil.Error:  # it ended meanwhile
            continue
    return taken / GIB
