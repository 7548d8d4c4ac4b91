"""How torch's threads wait for each other on a CPU, and how many there are."""

import os
from collections.abc import Iterator
from contextlib import contextmanager


def wait_asleep() -> None:
    """Let OpenMP's threads sleep while they wait; must run before torch is imported.

    By default they spin, which is quicker only where every thread has a core to itself. With one of two cores
    busy elsewhere, a small model of ours made 31 tokens/s spinning and 317 asleep. The operator's choice stays.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


def compute_on_all_cores() -> None:
    """Let torch use all cores that this process may use; imports torch.

    Ray leaves a process one thread that reserves less than two CPUs, but what is reserved is no limit here.
    """
    import torch

    torch.set_num_threads(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)


@contextmanager
def one_thread() -> Iterator[None]:
    """Within it torch computes in the calling thread: for what is forked later, and for many small steps."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
