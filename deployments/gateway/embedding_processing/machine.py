"""The machine's memory as a gateway sees it."""

from dataclasses import dataclass

import psutil

MIB = 1024**2


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """In bytes. own: resident, of this process. used: the share of the machine's that is in use, 0 to 1."""

    own: int
    free: int
    total: int

    @property
    def used(self) -> float:
        """Of the machine's memory, what is not free."""
        return 1 - self.free / self.total


def memory() -> Memory:
    """As it is now."""
    machine = psutil.virtual_memory()
    return Memory(own=psutil.Process().memory_info().rss, free=machine.available, total=machine.total)
