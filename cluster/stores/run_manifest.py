"""What a stored run is, as its folder says it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

FORMAT = 1
LOCAL_OWNER = "local"  # of runs of the command line, and of all where authentication is off
YEAR_6000 = 127_174_492_800.0  # Unix seconds: no run began then, and calendars end some time after


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """What a run is. total: planned cells. models: engine and revision of each, as they were when it began.

    created: Unix seconds. format: of the folder. owner: whose rows they are.
    """

    run_id: str
    name: str
    total: int
    models: Mapping[str, Mapping[str, str]]
    created: float
    format: int = FORMAT
    owner: str = LOCAL_OWNER


def manifest_of(said: Mapping[str, Any]) -> Manifest:
    """A stored manifest. Raises ValueError or TypeError for JSON that is none."""
    found = Manifest(**said)
    texts = (found.run_id, found.name, found.owner, *found.models)
    models = isinstance(found.models, dict) and all(isinstance(one, dict) for one in found.models.values())
    known = isinstance(found.created, int | float) and 0 <= found.created < YEAR_6000
    if not (models and known and isinstance(found.total, int) and all(isinstance(one, str) for one in texts)):
        raise TypeError("JSON, and no manifest")
    return found
