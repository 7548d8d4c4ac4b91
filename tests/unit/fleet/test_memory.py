"""What models are thought to take and take, over an NVML that is told what its GPUs hold."""

from dataclasses import dataclass, field
from typing import Any

import pytest

from cluster.catalog import GIB
from cluster.engines.gpu_share import share
from cluster.gpus import GpuMemory, gpus, sizes_gib
from cluster.settings.engines import VllmSettings
from cluster.settings.models import ModelSettings
from deployments.fleet.memory import GPU_SHARE, budget_gib, expected_gib


@dataclass
class Memory:
    total: int
    used: int


@dataclass
class Process:
    pid: int
    usedGpuMemory: int | None  # noqa: N815  # NVML's name


class NvmlError(Exception):
    pass


@dataclass
class Nvml:
    """NVIDIA's library over GPUs of so many GiB, and what each process has on the first."""

    sizes: tuple[float, ...] = (80.0, 80.0)
    used: float = 0.0
    taken: dict[int, float | None] = field(default_factory=dict)
    away: bool = False
    NVMLError: type[Exception] = NvmlError

    def nvmlInit(self) -> None:
        pass

    def nvmlDeviceGetCount(self) -> int:
        if self.away:
            raise NvmlError
        return len(self.sizes)

    def nvmlDeviceGetHandleByIndex(self, index: int) -> int:
        return index

    def nvmlDeviceGetMemoryInfo(self, handle: int) -> Memory:
        return Memory(total=int(self.sizes[handle] * GIB), used=int(self.used * GIB) if handle == 0 else 0)

    def nvmlDeviceGetComputeRunningProcesses(self, handle: int) -> list[Any]:
        if handle:
            return []
        return [Process(pid, None if gib is None else int(gib * GIB)) for pid, gib in self.taken.items()]


def test_a_model_takes_what_its_own_processes_do() -> None:
    nvml = Nvml(taken={1: 2.0, 2: 3.0, 3: 40.0})
    memory = GpuMemory(nvml)
    memory.loaded()
    assert memory.taken({1, 2}) == 5.0


def test_where_the_driver_tells_of_no_processes_it_takes_what_came_with_it() -> None:
    nvml = Nvml(used=10.0)
    memory = GpuMemory(nvml)
    nvml.used, nvml.taken = 16.0, {1: None}
    memory.loaded()
    nvml.used = 30.0  # another one's
    assert memory.taken({1}) == 6.0


def test_without_a_gpu_nobody_knows_and_a_driver_that_goes_away_fails_nothing() -> None:
    assert GpuMemory(None).taken({1}) is None
    nvml = Nvml(away=True)
    memory = GpuMemory(nvml)
    memory.loaded()
    assert memory.taken({1}) is None
    assert sizes_gib(nvml) == ()
    assert sizes_gib(None) == ()


def test_the_gpus_are_listed_whole() -> None:
    (first, second) = gpus(Nvml(sizes=(80.0, 24.0), used=7.0, taken={5: 7.0}))
    assert (first.total_gib, first.used_gib, first.taken_gib) == (80.0, 7.0, {5: 7.0})
    assert (second.total_gib, second.taken_gib) == (24.0, {})


def test_the_budget_is_that_of_all_gpus_also_of_other_machines() -> None:
    assert budget_gib(Nvml()) == pytest.approx(GPU_SHARE * 160)
    assert budget_gib(Nvml(), gpus_in_cluster=4.0) == pytest.approx(GPU_SHARE * 320)
    assert budget_gib(None) > 0  # the machine's own


@pytest.mark.parametrize(
    ("engine", "memory_gib", "reserved", "part"),
    [
        ({}, None, 1.0, 0.9),
        ({}, None, 0.5, 0.45),  # half a GPU: half of vLLM's default
        ({}, 20.0, 0.5, 0.25),  # of 80 GiB
        ({"tensor_parallel_size": 2}, 40.0, 2.0, 0.25),  # on two of them
        ({"gpu_memory_utilization": 0.3}, 20.0, 0.5, 0.3),  # said is said
        ({}, 500.0, 1.0, 1.0),
    ],
)
def test_vllm_takes_the_part_of_a_gpu_that_its_model_needs(
    engine: dict[str, Any], memory_gib: float | None, reserved: float, part: float
) -> None:
    settings = VllmSettings.model_validate({"source": "m", **engine})
    assert share(settings, memory_gib=memory_gib, gpus=reserved, total_gib=80.0) == pytest.approx(part)


def test_a_share_in_gib_needs_to_know_the_gpu() -> None:
    assert share(VllmSettings(source="m"), memory_gib=20.0, gpus=0.5, total_gib=None) == pytest.approx(0.45)


def test_models_that_share_a_gpu_are_expected_to_take_their_parts() -> None:
    model = ModelSettings.model_validate({"id": "m", "engine": {"kind": "vllm", "source": "m"}, "memory_gib": 20})
    whole = model.model_copy(update={"memory_gib": None})
    assert expected_gib(model, reserved=0.5, sizes=(80.0,)) == pytest.approx(20.0)
    assert expected_gib(whole, reserved=0.5, sizes=(80.0,)) == pytest.approx(36.0)
    assert expected_gib(model, reserved=0.0, sizes=()) == 20.0


def test_a_share_survives_the_way_of_settings_into_a_replica() -> None:
    """Settings are written out and read again on their way; what nobody had said was said by then."""
    written = VllmSettings(source="m").model_dump(mode="json")
    assert share(VllmSettings.model_validate(written), memory_gib=20.0, gpus=0.5, total_gib=80.0) == 0.25
