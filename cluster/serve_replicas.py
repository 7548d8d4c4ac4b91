"""How many replicas of each deployment run, as this process's handles see it: told by their request routers.

Serve makes a request router itself, deep inside a handle, so the two sides meet in one place of the process:
the router notes what it hears from the controller, and whoever wants to know follows.
"""

import threading
from collections.abc import Callable


class ReplicaCounts:
    """Counts by deployment's name. Every call returns at once, from any thread."""

    def __init__(self) -> None:
        self._counts: dict[str, int] = {}
        self._followers: dict[str, list[Callable[[int], None]]] = {}
        self._lock = threading.Lock()

    def note(self, deployment: str, count: int) -> None:
        """So many run now."""
        with self._lock:
            if self._counts.get(deployment) == count:
                return
            self._counts[deployment] = count
            followers = tuple(self._followers.get(deployment, ()))
        for follower in followers:
            follower(count)

    def of(self, deployment: str) -> int | None:
        """How many run; None before a handle of this process was used."""
        return self._counts.get(deployment)

    def follow(self, deployment: str, follower: Callable[[int], None]) -> None:
        """Have `follower` called with each new count, from whatever thread hears of it."""
        with self._lock:
            self._followers.setdefault(deployment, []).append(follower)
            known = self._counts.get(deployment)
        if known is not None:
            follower(known)


RUNNING = ReplicaCounts()
"""Of this process."""
