"""Locks on files, which the kernel drops when their holder dies, however it dies.

The file of a lock stays: unlinking it would let two processes hold two locks of one name.
"""

import fcntl
import time

LOOK_S = 0.1  # between two tries


def lock_within(descriptor: int, wait_s: float) -> bool:
    """Lock an open file for this process alone; False where another one holds it for all of `wait_s`."""
    deadline = time.monotonic() + wait_s
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        except BlockingIOError:
            if time.monotonic() >= deadline:
                return False
            time.sleep(LOOK_S)
