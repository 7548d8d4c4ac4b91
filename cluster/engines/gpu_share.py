"""How much of a GPU an engine takes that takes its share at once, pure: several models fit on one GPU."""

from cluster.settings.engines import VllmSettings

WHOLE = 0.9  # of a GPU that is one model's: vLLM's own default is near it; the rest is for CUDA and the driver


def share(engine: VllmSettings, *, memory_gib: float | None, gpus: float, total_gib: float | None) -> float:
    """The part of each of its GPUs that vLLM takes, for `gpu_memory_utilization`.

    What the settings say, where they do. Else memory_gib of a GPU of total_gib, over those that it is spread on.
    Else most of the part that it has reserved: of half a GPU, half as much as of a whole one.
    """
    if engine.gpu_memory_utilization is not None:
        return engine.gpu_memory_utilization
    if memory_gib is not None and total_gib:
        return min(1.0, memory_gib / engine.tensor_parallel_size / total_gib)
    return WHOLE * min(1.0, gpus)
