"""Moments as the lab's routes write them."""

from datetime import UTC, datetime


def moment(at: datetime | None) -> str | None:
    """Whole seconds in UTC, as `2025-10-29T10:00:00Z`."""
    return None if at is None else at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
