"""What the GPUs of this machine hold, as NVIDIA's management library (NVML) tells.

It makes no CUDA context, so that asking takes no memory of the GPU, and it sees all GPUs, also those that
CUDA_VISIBLE_DEVICES hides from this process.
"""

from collections.abc import Collection
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Protocol, cast

from cluster.catalog import GIB


class Nvml(Protocol):
    """The part of NVML that is used, by the names that its Python bindings have."""

    NVMLError: type[Exception]

    def nvmlInit(self) -> None: ...  # noqa: D102, N802  # NVML's own names, here and below

    def nvmlDeviceGetCount(self) -> int: ...  # noqa: D102, N802

    def nvmlDeviceGetHandleByIndex(self, index: int) -> Any: ...  # noqa: D102, N802

    def nvmlDeviceGetMemoryInfo(self, handle: Any) -> Any: ...  # noqa: D102, N802

    def nvmlDeviceGetComputeRunningProcesses(self, handle: Any) -> list[Any]: ...  # noqa: D102, N802


def nvml() -> Nvml | None:
    """The machine's own; None where it has no NVIDIA driver."""
    try:
        library = cast(Nvml, import_module("pynvml"))  # of the extra `gpu`
    except ImportError:
        return None
    try:
        library.nvmlInit()
    except library.NVMLError:
        return None
    return library


@dataclass(frozen=True, slots=True, kw_only=True)
class Gpu:
    """One GPU. Sizes in GiB. taken: by each process, where the driver tells."""

    total_gib: float
    used_gib: float
    taken_gib: dict[int, float]


def gpus(library: Nvml) -> tuple[Gpu, ...]:
    """All of the machine. Raises NVMLError where the driver does not answer."""
    found = []
    for index in range(library.nvmlDeviceGetCount()):
        handle = library.nvmlDeviceGetHandleByIndex(index)
        memory = library.nvmlDeviceGetMemoryInfo(handle)
        found.append(
            Gpu(
                total_gib=memory.total / GIB,
                used_gib=memory.used / GIB,
                taken_gib={
                    process.pid: process.usedGpuMemory / GIB
                    for process in library.nvmlDeviceGetComputeRunningProcesses(handle)
                    if process.usedGpuMemory  # None where the driver may not tell, as in a container
                },
            )
        )
    return tuple(found)


def sizes_gib(library: Nvml | None) -> tuple[float, ...]:
    """Of each GPU of the machine; none where nobody knows."""
    if library is None:
        return ()
    try:
        return tuple(gpu.total_gib for gpu in gpus(library))
    except library.NVMLError:
        return ()


class GpuMemory:
    """What a model takes of the GPUs. Made before it loads: where the driver tells of no processes, as in most
    containers, it took what was taken of the GPUs while it loaded.
    """

    def __init__(self, library: Nvml | None) -> None:
        self._library = library
        self._before = self._used()
        self._grown: float | None = None

    def loaded(self) -> None:
        """The model is loaded now."""
        after = self._used()
        if after is not None and self._before is not None:
            self._grown = max(0.0, after - self._before)

    def taken(self, pids: Collection[int]) -> float | None:
        """GiB that these processes take, or what it grew by; None where nobody knows."""
        if self._library is None:
            return None
        try:
            found = gpus(self._library)
        except self._library.NVMLError:
            return self._grown
        taken = sum(gpu.taken_gib.get(pid, 0.0) for gpu in found for pid in pids)
        return taken or self._grown

    def _used(self) -> float | None:
        if self._library is None:
            return None
        try:
            return sum(gpu.used_gib for gpu in gpus(self._library))
        except self._library.NVMLError:
            return None
