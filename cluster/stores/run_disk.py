"""What a full disk is to a sweep: an error that says so, and not one of a file's."""

import contextlib
from collections.abc import Iterator

from cluster.errors import DiskFull
from cluster.stores.draft import NO_ROOM


@contextlib.contextmanager
def room_for(run_id: str) -> Iterator[None]:
    """While files of a run are written. Raises DiskFull where there is no room for one."""
    try:
        yield
    except OSError as error:
        if error.errno in NO_ROOM:
            raise DiskFull(
                f"The disk has no room for the rows of the sweep {run_id}",
                hint="make room and run it again: it goes on, and what is stored stays",
            ) from None
        raise
