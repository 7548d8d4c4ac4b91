"""Processes forked from one that has imported everything: dozens of starts would take longer than the tests."""

from collections.abc import Callable
from multiprocessing import get_context
from multiprocessing.process import BaseProcess
from typing import Any

# A run has one server of forks, with the list that came first: all that is forked here, and what that imports late.
PRELOADED = [
    "tests.faults.alone.local_sweep",
    "tests.faults.alone.ingest_processes",
    "cluster.stores.vectors_chroma",
    "chromadb",
]


def forked(work: Callable[..., None], *about: Any) -> BaseProcess:
    """A process that does this work. It may be killed at any moment."""
    context = get_context("forkserver")
    context.set_forkserver_preload(PRELOADED)
    process = context.Process(target=work, args=about, daemon=True)
    process.start()
    return process
