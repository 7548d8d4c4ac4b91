"""How a stored sweep stands, and a wish that it end early: two small files beside its manifest.

The driver writes the state; whoever wants the run to stop writes the wish, and its workers look for it. A state
that says `running` while no driver holds the run is a driver that died: `interrupted`.
"""

import json
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from cluster.stores.draft import Draft
from cluster.stores.run_disk import room_for

RUNNING, INTERRUPTED, COMPLETED, FAILED = "running", "interrupted", "completed", "failed"
PAUSED, STOPPED, CANCELLED = "paused", "stopped", "cancelled"


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """How a run stands. reason: why it ended, where there is more to say. at: Unix seconds."""

    status: str
    reason: str | None = None
    at: float = 0.0


class RunState:
    """The state and the wish of one run's folder. Opening it touches nothing."""

    def __init__(self, folder: Path) -> None:
        self._state = folder / "state.json"
        self._wish = folder / "stop.json"

    def note(self, status: str, reason: str | None = None) -> None:
        """Write how it stands now. For its driver."""
        _write(self._state, State(status=status, reason=reason, at=time.time()))

    def read(self) -> State | None:
        """What was noted last; None for a run of before there were states, or of which nothing can be read."""
        return _read(self._state)

    def ask(self, status: str, reason: str | None = None) -> None:
        """Wish that it end as PAUSED, STOPPED (cells in flight end) or CANCELLED (they are dropped)."""
        _write(self._wish, State(status=status, reason=reason, at=time.time()))

    def asked(self) -> State | None:
        """The wish, while there is one."""
        return _read(self._wish)

    def clear(self, *, before: float | None = None) -> None:
        """Take the wish back. For the driver that has heard it, or begins anew.

        before: Unix seconds; one that was wished later stays. Of damaged parts a session's beginning takes a while,
        and whoever sees it run may ask it to stop.
        """
        wish = self.asked()
        if before is None or wish is None or wish.at < before:
            self._wish.unlink(missing_ok=True)


def _write(file: Path, state: State) -> None:
    with room_for(file.parent.name), Draft(file) as draft:
        draft.write(json.dumps(asdict(state)).encode())
        draft.publish()


def _read(file: Path) -> State | None:
    try:
        found = State(**json.loads(file.read_text(encoding="utf-8")))
    except (FileNotFoundError, ValueError, TypeError):
        return None
    whole = isinstance(found.status, str) and isinstance(found.reason, str | None)
    return found if whole and isinstance(found.at, int | float) else None
