"""Whether a load failed for want of memory, by what it left behind as text: it crossed processes as no more.

In one place, as engines, drivers and the kernel each have words of their own for it.
"""

import re

SIGNS = (
    # CUDA, through torch, and what allocates beside it
    r"cuda(?: error:)? out of memory",
    r"\bOutOfMemoryError\b",
    r"CUBLAS_STATUS_ALLOC_FAILED",
    r"cudaErrorMemoryAllocation",
    # vLLM, which looks before it takes
    r"No available memory for the cache blocks",
    r"Free memory on device .* less than desired",
    # a CPU's
    r"\bMemoryError\b",
    r"\bstd::bad_alloc\b",
    r"can't allocate memory",
    r"Cannot allocate memory",
    r"unable to (?:allocate|mmap)",
    # llama.cpp, of a GGUF file and of its buffers
    r"mmap failed",
    r"failed to (?:allocate|mmap)",
    # killed: by the kernel, or by Ray before the kernel does. Of a process that vanished Ray says what it may be,
    # or nothing more than that.
    r"killed by (?:SIGKILL|the OOM killer)",
    r"Failed core proc\(s\): .*-9\b",
    r"died from signal 9\b|exit ?code:? -9\b",
    r"running low on memory",
    r"\bactor died unexpectedly\b|\bworker process has died\b|\bWorker unexpectedly exits\b",
)
_SIGN = re.compile("|".join(SIGNS), re.IGNORECASE)


def out_of_memory(text: str) -> bool:
    """Whether that is how a process with too little memory ends."""
    return _SIGN.search(text) is not None
