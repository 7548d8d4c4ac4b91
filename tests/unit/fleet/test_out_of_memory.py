"""Which failed loads were for want of memory, by the words that engines, drivers and the kernel have for it."""

import pytest

from cluster.errors import LoadFailed, OutOfMemory
from deployments.fleet.deployer import failure

SERVE = (
    "The deployment failed to start 1 times in a row. This may be due to a problem with its constructor. Error:\n"
)
SHORT = (
    "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 79 GiB",
    "RuntimeError: CUDA error: out of memory",
    "ValueError: No available memory for the cache blocks. Try increasing `gpu_memory_utilization`",
    "ValueError: Free memory on device cuda:0 (9/79 GiB) on startup is less than desired GPU memory",
    "MemoryError",
    "numpy._core._exceptions._ArrayMemoryError: Unable to allocate 8.00 GiB for an array",
    "RuntimeError: [enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes",
    "OSError: [Errno 12] Cannot allocate memory",
    "RuntimeError: unable to mmap 4000000 bytes from file <model.safetensors>: Cannot allocate memory (12)",
    "StartFailed: llama.cpp cannot load m: error loading model: mmap failed: Cannot allocate memory",
    "StartFailed: llama.cpp cannot load m: failed to allocate CPU buffer of size 99999",
    "RuntimeError: Engine core initialization failed. Failed core proc(s): {'EngineCore': -9}",
    "Some common causes include: (1) the process was killed by the OOM killer due to high memory usage",
    "ray.exceptions.ActorDiedError: The actor died unexpectedly before finishing this task.",
    "ray.exceptions.OutOfMemoryError: Task was killed due to the node running low on memory.",
)
OTHER = (
    "StartFailed: vLLM cannot load m from /m: no config.json",
    "ValueError: The model's max seq len is larger than what its positions allow",
    "FileNotFoundError: out_of_memory.txt",
    "RuntimeError: Engine core initialization failed. See root cause above. Failed core proc(s): {'EngineCore': 1}",
)


@pytest.mark.parametrize("text", SHORT)
def test_a_load_that_ran_out_of_memory_is_known_by_its_words(text: str) -> None:
    error = failure("m", SERVE + text)
    assert type(error) is OutOfMemory
    assert (error.code, error.param) == ("out_of_memory", "model")
    assert error.message.startswith("m could not be loaded: ")


@pytest.mark.parametrize("text", OTHER)
def test_any_other_failure_is_none_of_memory(text: str) -> None:
    assert type(failure("m", SERVE + text)) is LoadFailed
