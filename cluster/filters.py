"""Filters on documents: OpenAI's vector-store shape, read once and then asked of each document.

    {"type": "eq", "key": "year", "value": 2024}                   eq ne gt gte lt lte
    {"type": "in", "key": "tags", "value": ["paper", "draft"]}     in nin
    {"type": "and", "filters": [...]}                              and or

A key names a field of the document's metadata, except for `tags`, `source`, `media_type` and `created` (Unix
seconds), which are the document's own and hide metadata of the same name.
"""

import math
import operator
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from cluster.documents import Document
from cluster.errors import BadRequest

Scalar = str | int | float | bool

MAX_DEPTH = 8  # of `and` and `or` in each other: more than people write, far below what recursion bears
MAX_PARTS = 256  # comparisons and compounds of one filter: it is asked of every document
MAX_VALUES = 1000  # of one `in`
MAX_CHARACTERS = 1024  # of a key or a value
ORDERED: Mapping[str, Callable[[Any, Any], bool]] = {
    "gt": operator.gt,
    "gte": operator.ge,
    "lt": operator.lt,
    "lte": operator.le,
}
NEGATED = frozenset({"ne", "nin"})
LISTED = frozenset({"in", "nin"})
COMPARISONS = ("eq", "ne", "gt", "gte", "lt", "lte", "in", "nin")
COMPOUNDS = ("and", "or")
OWN: Mapping[str, str] = {"tags": "text", "source": "text", "media_type": "text", "created": "a number"}


class Filter(Protocol):
    """What `parse_filter` gives."""

    def matches(self, document: Document) -> bool:
        """Whether the document passes."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """One field against one value, or against several for `in` and `nin`. type: one of COMPARISONS.

    A text, a number and a truth value are never equal to or before each other, and a document without the field
    passes `ne` and `nin` alone. Of `tags` it is asked whether the document has one of the values.
    """

    type: str
    key: str
    values: tuple[Scalar, ...]

    def matches(self, document: Document) -> bool:
        """Whether the document's field compares so."""
        held = _held(document, self.key)
        if self.type in ORDERED:
            compare = ORDERED[self.type]
            return any(_kind(each) is _kind(self.values[0]) and compare(each, self.values[0]) for each in held)
        found = any(_same(each, value) for each in held for value in self.values)
        return found is not (self.type in NEGATED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Compound:
    """Several filters, of which all (`and`) or one (`or`) must pass."""

    type: str
    filters: tuple[Filter, ...]

    def matches(self, document: Document) -> bool:
        """Whether all, or one, of them pass."""
        passed = (each.matches(document) for each in self.filters)
        return all(passed) if self.type == "and" else any(passed)


def parse_filter(body: Mapping[str, Any], *, param: str) -> Filter:
    """The filter that a JSON object describes. param: where it stands in the request, for errors.

    Raises BadRequest naming the place, such as `where.filters[1].key`.
    """
    return _parsed(body, param, 1, iter(range(MAX_PARTS)))


def _parsed(body: Any, param: str, depth: int, room: Iterator[int]) -> Filter:
    if not isinstance(body, Mapping):
        raise _refused(param, "is not an object", 'such as {"type": "eq", "key": "year", "value": 2024}')
    if depth > MAX_DEPTH:
        raise _refused(param, "is nested too deeply", f"at most {MAX_DEPTH} levels")
    if next(room, None) is None:
        raise _refused(param, "is one part too many", f"at most {MAX_PARTS} comparisons and compounds together")
    kind = body.get("type")
    if kind in COMPOUNDS:
        _only(body, ("type", "filters"), param)
        inner = body.get("filters")
        place = f"{param}.filters"
        if not isinstance(inner, list | tuple) or not inner:
            raise _refused(place, "is not a list of filters", "one at least")
        parts = (_parsed(each, f"{place}[{at}]", depth + 1, room) for at, each in enumerate(inner))
        return Compound(type=kind, filters=tuple(parts))
    if kind in COMPARISONS:
        _only(body, ("type", "key", "value"), param)
        return _comparison(kind, body, param)
    raise _refused(f"{param}.type", "is not a kind of filter", ", ".join((*COMPARISONS, *COMPOUNDS)))


def _comparison(kind: str, body: Mapping[str, Any], param: str) -> Comparison:
    key = body.get("key")
    if not isinstance(key, str) or not 0 < len(key) <= MAX_CHARACTERS:
        raise _refused(f"{param}.key", "is not the name of a field", f"a text of 1 to {MAX_CHARACTERS} characters")
    if key == "tags" and kind in ORDERED:
        raise _refused(f"{param}.type", "has no meaning for tags", "eq, ne, in or nin")
    place = f"{param}.value"
    value = body.get("value")
    if kind not in LISTED:
        checked = _value(value, key, place)
        if kind in ORDERED and isinstance(checked, bool):
            raise _refused(place, "has no order", f"a text or a number for {kind}")
        return Comparison(type=kind, key=key, values=(checked,))
    if not isinstance(value, list | tuple) or not 0 < len(value) <= MAX_VALUES:
        raise _refused(place, "is not a list of values", f"1 to {MAX_VALUES} of them for {kind}")
    values = tuple(_value(each, key, f"{place}[{at}]") for at, each in enumerate(value))
    return Comparison(type=kind, key=key, values=values)


def _value(value: Any, key: str, place: str) -> Scalar:
    if not isinstance(value, str | int | float):
        raise _refused(place, "is not a value", "a text, a number, true or false")
    if isinstance(value, float) and not math.isfinite(value):
        raise _refused(place, "is not a finite number", "JSON knows no other")
    if isinstance(value, str) and len(value) > MAX_CHARACTERS:
        raise _refused(place, "is too long", f"at most {MAX_CHARACTERS} characters")
    wanted = OWN.get(key)
    if wanted is not None and (_kind(value) is str) is not (wanted == "text"):
        raise _refused(place, f"is never a document's {key}", wanted)
    if key == "created" and isinstance(value, bool):
        raise _refused(place, f"is never a document's {key}", "a number")
    return value


def _only(body: Mapping[str, Any], known: tuple[str, ...], param: str) -> None:
    for name in body:
        if name not in known:
            raise _refused(f"{param}.{str(name)[:MAX_CHARACTERS]}", "is not known here", ", ".join(known))


def _refused(param: str, what: str, hint: str) -> BadRequest:
    return BadRequest(f"{param} {what}", hint=hint, param=param)


def _held(document: Document, key: str) -> tuple[Scalar, ...]:
    """The document's values of a field: none, one, or of tags several."""
    if key == "tags":
        return document.tags
    if key in OWN:
        own: Scalar = getattr(document, key)
        return (own,)
    return (document.metadata[key],) if key in document.metadata else ()


def _kind(value: Scalar) -> type:
    """What compares with each other: texts, numbers, truth values."""
    return float if type(value) is int else type(value)


def _same(one: Scalar, other: Scalar) -> bool:
    return _kind(one) is _kind(other) and one == other
