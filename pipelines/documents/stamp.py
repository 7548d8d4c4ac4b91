"""How a file looks from outside: what changes whenever its content does."""

import os

SETTLED_S = 2.0  # a file changed twice within a file system's tick looks the same both times


def stamp_of(facts: os.stat_result) -> str:
    """Its inode, size and times."""
    return f"{facts.st_ino}:{facts.st_size}:{facts.st_mtime_ns}:{facts.st_ctime_ns}"


def is_settled(facts: os.stat_result, now: float) -> bool:
    """Whether the stamp can be believed at that time, in Unix seconds: not of what was written a moment ago."""
    return now - max(facts.st_mtime, facts.st_ctime) > SETTLED_S
