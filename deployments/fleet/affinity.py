"""Which replica answers requests that belong together, pure: rendezvous hashing with bounded load.

Every replica has a rank for every key, by a hash of both, so routers that never speak to each other agree, a
replica that goes moves none but its own keys, and one that comes takes a fair part of everybody's. The highest
rank wins unless that replica has more to do than its fair share, with some room; then the next one is asked.
As the choice is a pure function, a gateway that was restarted has forgotten nothing.
"""

from collections.abc import Mapping
from hashlib import blake2b

ROOM = 1.25  # how much more than its fair share a replica may have to do before its keys go to the next
AT_LEAST = 4  # requests that a replica may always have: below that nobody waits for anybody


def rank(key: str, replica: str) -> int:
    """How much a replica is the key's: the highest is its home."""
    return int.from_bytes(blake2b(f"{key}\0{replica}".encode(), digest_size=8).digest(), "big")


def bound(loads: Mapping[str, int], *, room: float = ROOM, at_least: int = AT_LEAST) -> float:
    """How many requests a replica may have, the one to be placed included. loads: of at least one replica."""
    fair = (sum(loads.values()) + 1) / len(loads)
    return max(float(at_least), room * fair)


def choose(key: str, loads: Mapping[str, int], *, most: int | None = None, room: float = ROOM) -> str | None:
    """The replica for a key. loads: what each has to do now. most: what one can do at once; None is no limit.

    None where there is no replica, or none that can do more. There is always one within the bound, as not all
    have more than their fair share.
    """
    if not loads:
        return None
    allowed = bound(loads, room=room)
    if most is not None:
        allowed = min(allowed, most)
    fitting = [replica for replica, load in loads.items() if load + 1 <= allowed]
    return max(fitting, key=lambda replica: (rank(key, replica), replica), default=None)
