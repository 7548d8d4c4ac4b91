"""Python's garbage collector, out of the way while there is nothing to collect."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def paused() -> Iterator[None]:
    """Collect nothing inside: for imports, which make a million objects that stay.

    vLLM's take a sixth less time so (15.4 and 12.1 s of CPU became 12.7 and 10.2).
    """
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()
