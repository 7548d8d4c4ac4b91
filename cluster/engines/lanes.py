"""Threads that each compute with one core: several small batches side by side.

torch spreads each single operation over the cores and waits for the slowest after every one. A text model runs a
hundred small ones a batch, so a batch a core wastes less; most where another process holds one of the cores.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import TypeVar

Given = TypeVar("Given")
Made = TypeVar("Made")


class Lanes:
    """As many threads as torch may use cores. Imports torch."""

    def __init__(self) -> None:
        import torch

        self.count = torch.get_num_threads()
        self._pool: ThreadPoolExecutor | None = None
        if self.count > 1:
            self._pool = ThreadPoolExecutor(self.count, thread_name_prefix="lane")
            met = Barrier(self.count)
            for ready in [self._pool.submit(_alone, met) for _ in range(self.count)]:
                ready.result()
            torch.set_num_threads(self.count)  # for everyone else: what a thread sets, new threads begin with

    def map(self, work: Callable[[Given], Made], batches: Sequence[Given]) -> list[Made]:
        """The work's results in the order of the batches. One batch alone may use all cores."""
        if self._pool is None or len(batches) < 2:
            return [work(batch) for batch in batches]
        return list(self._pool.map(work, batches))


def _alone(met: Barrier) -> None:
    """Run once in each thread: the barrier keeps one thread from taking another's turn."""
    import torch

    torch.get_num_threads()  # a thread's first use takes the process's number over what it set before
    torch.set_num_threads(1)
    met.wait()
