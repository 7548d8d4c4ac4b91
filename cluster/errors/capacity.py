"""Limits that are reached, and parts that are away."""

from cluster.errors.base import HeliostatError


class Overloaded(HeliostatError):
    """Queues are full; come back later."""

    code, status, retryable = "rate_limit_exceeded", 429, True


class NeverWithinLimit(Overloaded):
    """A request that alone asks for more than its key's limit; waiting does not help."""

    retryable = False


class Unavailable(HeliostatError):
    """Nobody can answer just now."""

    code, status, retryable = "unavailable", 503, True


class DatabaseAway(Unavailable):
    """The SQL database does not answer, or is too busy to."""

    code = "database_unavailable"


class DiskFull(HeliostatError):
    """Too little room on the disk."""

    code, status = "disk_full", 507
