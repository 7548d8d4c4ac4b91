"""Scalars of the schema beside GraphQL's own."""

from datetime import UTC, datetime
from typing import Any, NewType

import strawberry
from strawberry.schema.config import StrawberryConfig

Moment = NewType("Moment", str)
"""A moment as the REST routes write it: ISO 8601, in UTC."""

Json = NewType("Json", object)
"""Whatever JSON can say."""


def _as_it_is(value: Any) -> Any:
    return value


CONFIG = StrawberryConfig(
    scalar_map={
        Moment: strawberry.scalar(
            name="DateTime", description="A moment: ISO 8601, in UTC.", serialize=str, parse_value=str
        ),
        Json: strawberry.scalar(
            name="JSON", description="Any JSON value.", serialize=_as_it_is, parse_value=_as_it_is
        ),
    }
)


def moment(when: datetime | float | None) -> Moment | None:
    """A time, or Unix seconds, as a moment."""
    if when is None:
        return None
    time = when.astimezone(UTC) if isinstance(when, datetime) else datetime.fromtimestamp(when, UTC)
    return Moment(time.isoformat(timespec="milliseconds").replace("+00:00", "Z"))
