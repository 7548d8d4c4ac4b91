"""A field of a spec that holds an axis: how it is read, written, and shown in a JSON schema."""

from collections.abc import Callable
from functools import partial
from typing import Annotated, Any

from pydantic import PlainSerializer, PlainValidator, WithJsonSchema

from pipelines.sweeps.axis import AnyAxis, Axis, Bounds, Choices, read_axis, read_choices


def numbers(bounds: Bounds) -> Any:
    """The type of a field of numbers: a value, a list, or `{min, max, step}`; None where it is not named."""
    number: dict[str, Any] = {"type": "integer" if bounds.whole else "number", "maximum": bounds.most}
    if bounds.least is not None:
        number["minimum"] = bounds.least
    if bounds.above is not None:
        number["exclusiveMinimum"] = bounds.above
    stepped = {
        "type": "object",
        "properties": {"min": number, "max": number, "step": {"type": number["type"], "exclusiveMinimum": 0}},
        "required": ["min", "max", "step"],
        "additionalProperties": False,
    }
    schema = {"anyOf": [number, {"type": "array", "items": number}, stepped]}
    return Annotated[
        Axis | None,
        PlainValidator(partial(_numbers, bounds=bounds)),
        PlainSerializer(_dump),
        WithJsonSchema(schema),
    ]


def choices(check: Callable[[Any], Any], schema: dict[str, Any]) -> Any:
    """The type of a field of other values: one, or a list of them. check, schema: of one value."""
    return Annotated[
        Choices | None,
        PlainValidator(partial(_choices, check=check)),
        PlainSerializer(_dump),
        WithJsonSchema({"anyOf": [schema, {"type": "array", "items": schema}]}),
    ]


def _numbers(given: object, bounds: Bounds) -> Axis | None:
    return None if given is None else read_axis(given, bounds)


def _choices(given: object, check: Callable[[Any], Any]) -> Choices | None:
    return None if given is None else read_choices(given, check)


def _dump(axis: AnyAxis | None) -> Any:
    return None if axis is None else axis.dump()
