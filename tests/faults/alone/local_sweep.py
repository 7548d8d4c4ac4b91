"""A whole sweep in a process of its own that may be killed at any moment, without a cluster."""

from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from tests.faults.alone.forks import forked
from tests.unit.sweeps.driving import House

SPEC: dict[str, Any] = {
    "name": "killed at random",
    "models": ["one", "other"],
    "prompts": [f"prompt {number} one two three four" for number in range(10)],
    "parameters": {"temperature": {"min": 0.1, "max": 1.0, "step": 0.1}, "max_tokens": 8},
    "repeats": 5,
    "greedy_anchor": True,
}
TOKEN_DELAY_S = 0.02  # so that 1,020 cells, 16 at once, take some seconds


def started(home: Path) -> BaseProcess:
    """A driver of the sweep."""
    return forked(_drive, home)


def _drive(home: Path) -> None:
    House(home, token_delay_s=TOKEN_DELAY_S).run(SPEC, block_cells=16)
