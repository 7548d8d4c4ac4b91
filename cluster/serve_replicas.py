"""Which replicas of each deployment run, as this process's handles see it: told by their request routers.

Serve makes a request router itself, deep inside a handle, so the two sides meet in one place of the process:
the router notes what it hears from the controller, and whoever wants to know follows.
"""

import threading
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplicaChange:
    """The running replicas of a deployment, by their names, were others. before: None where nobody knew.

    lost: one was found dead; else the controller said so.
    """

    deployment: str
    before: frozenset[str] | None
    now: frozenset[str]
    lost: bool = False

    @property
    def count(self) -> int:
        """How many run now."""
        return len(self.now)


Follower = Callable[[ReplicaChange], None]


class ReplicaCounts:
    """Replicas by deployment's name. Every call returns at once, from any thread."""

    def __init__(self) -> None:
        self._running: dict[str, frozenset[str]] = {}
        self._followers: dict[str, list[Follower]] = {}
        self._lock = threading.Lock()

    def note(self, deployment: str, replicas: frozenset[str], *, lost: bool = False) -> None:
        """These run now."""
        with self._lock:
            before = self._running.get(deployment)
            if before == replicas:
                return
            self._running[deployment] = replicas
            followers = tuple(self._followers.get(deployment, ()))
        change = ReplicaChange(deployment=deployment, before=before, now=replicas, lost=lost)
        for follower in followers:
            follower(change)

    def of(self, deployment: str) -> int | None:
        """How many run; None before a handle of this process was used."""
        running = self._running.get(deployment)
        return None if running is None else len(running)

    def follow(self, deployment: str, follower: Follower) -> None:
        """Have `follower` told of what runs, now if that is known and then at each change, from any thread."""
        with self._lock:
            self._followers.setdefault(deployment, []).append(follower)
            known = self._running.get(deployment)
        if known is not None:
            follower(ReplicaChange(deployment=deployment, before=None, now=known))


RUNNING = ReplicaCounts()
"""Of this process."""
