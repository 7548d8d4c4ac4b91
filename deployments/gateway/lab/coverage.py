"""What figures are of: how much was read, and what was left out of them and why."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cluster.errors import DamagedRun

MOST_NAMED = 50  # experiments that one warning lists
TOO_MANY = "too_many_rows"


@dataclass(frozen=True, slots=True, kw_only=True)
class Left:
    """One experiment that is in no figure. error: why it could not be read; None where there was no room."""

    kind: str
    id: int
    name: str
    error: DamagedRun | None = None

    def told(self) -> dict[str, Any]:
        """As answers name it."""
        return {"experiment_type": self.kind, "id": self.id, "name": self.name}


@dataclass(frozen=True, slots=True, kw_only=True)
class Coverage:
    """How much was read. rows: failed cells and anchors among them. older: left out without being looked at."""

    experiments: int
    rows: int
    left: Sequence[Left] = ()
    older: int = 0

    @property
    def left_out(self) -> int:
        """Experiments that were meant, and are in no figure."""
        return len(self.left) + self.older

    def told(self) -> dict[str, Any]:
        """As answers say it: beside what was read, a warning for what is missing."""
        read = {"experiments": self.experiments, "rows": self.rows, "left_out": self.left_out}
        return {"coverage": read, "warnings": self.warnings()}

    def warnings(self) -> list[Mapping[str, Any]]:
        """What is missing, and why; each damaged run by itself."""
        found: list[Mapping[str, Any]] = [
            {
                "code": one.error.code,
                "message": f"{one.error.message}; the other experiments are in the figures",
                "hint": one.error.hint,
                "experiments": [one.told()],
            }
            for one in self.left
            if one.error is not None
        ]
        crowded = [one for one in self.left if one.error is None]
        if crowded or self.older:
            count = len(crowded) + self.older
            found.append(
                {
                    "code": TOO_MANY,
                    "message": f"Only the newest {self.experiments:,} experiments, {self.rows:,} rows, are in the "
                    f"figures; {count:,} that began earlier are left out",
                    "hint": "a shorter timeframe, or one experiment by its id",
                    "experiments": [one.told() for one in crowded[:MOST_NAMED]],
                }
            )
        return found
