"""Types of the schema from what the REST routes show, so that each thing's fields are named in one place."""

from collections.abc import Mapping
from dataclasses import fields
from typing import Any, TypeVar

from strawberry.utils.str_converters import to_camel_case

Shown = TypeVar("Shown")


def filled(kind: type[Shown], said: Mapping[str, Any], **given: Any) -> Shown:
    """One of a kind: each field as `given`, else by its own name or its camelCase one in what a route says.

    What is looked up by a resolver is left to it. Raises KeyError for a field that nobody says.
    """
    names = [field.name for field in fields(kind) if field.init and field.name not in given]  # type: ignore[arg-type]
    return kind(**given, **{name: said[name] if name in said else said[to_camel_case(name)] for name in names})
