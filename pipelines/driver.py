"""This process as a quiet driver of the cluster: Ray's own notices would be drawn over our progress."""

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cluster.runtime.lifecycle import connect


def become_driver(home: Path, *, data: bool = True) -> None:
    """Connect to the home's cluster. data: whether Ray Data will be used; a second of imports goes with it.

    Raises NotRunning or StaleCluster.
    """
    # Ray's C++ core writes to stderr whatever Python's loggers say, and warns of each restartable actor.
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
    # When Ctrl-C has shut Ray down, Ray Data's thread must fail, and not start a Ray of its own.
    os.environ["RAY_ENABLE_AUTO_CONNECT"] = "0"
    with _muted(2):  # it also tells there that it was told to be silent
        connect(home)
    from ray import serve  # noqa: F401 - importing it configures its logger, which is then told to be quiet

    logging.getLogger("ray.serve").setLevel(logging.ERROR)
    if data:
        quiet_data()


def quiet_data() -> None:
    """Ray Data without bars and notices of its own."""
    from ray.data import DataContext

    context = DataContext.get_current()
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    logging.getLogger("ray.data").setLevel(logging.ERROR)


@contextmanager
def _muted(descriptor: int) -> Iterator[None]:
    """Nothing that this process writes to the descriptor arrives; what goes wrong is raised, not written."""
    kept = os.dup(descriptor)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, descriptor)
        yield
    finally:
        os.dup2(kept, descriptor)
        os.close(kept)
        os.close(nowhere)
