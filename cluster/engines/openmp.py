"""How torch's threads wait for each other on a CPU."""

import os


def wait_asleep() -> None:
    """Let OpenMP's threads sleep while they wait; must run before torch is imported.

    By default they spin, which is quicker only where every thread has a core to itself. With one of two cores
    busy elsewhere, a small model of ours made 31 tokens/s spinning and 317 asleep. The operator's choice stays.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
