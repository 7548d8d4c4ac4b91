"""Which rows an export takes: simple conditions, all of which must hold.

    eq ne            any column; with null: rows without, with a value
    lt le gt ge      numbers and times (ISO 8601)
    in               a list of values
    contains         text, without regard to case

A row whose value is NULL meets no condition except `eq` null.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from cluster.errors import BadRequest
from pipelines.analysis.exports.compute import compute

if TYPE_CHECKING:
    import pyarrow as pa

OPERATORS = ("eq", "ne", "lt", "le", "gt", "ge", "in", "contains")
SIGNS = {">=": "ge", "<=": "le", "!=": "ne", "=": "eq", ">": "gt", "<": "lt", "~": "contains"}
COMPARED = {
    "eq": "equal",
    "ne": "not_equal",
    "lt": "less",
    "le": "less_equal",
    "gt": "greater",
    "ge": "greater_equal",
}
MOST, MOST_VALUES = 100, 10_000  # conditions, and values of `in`: each is looked at for every thousand rows
CONDITION = re.compile(r"\s*([\w.-]+)\s*(>=|<=|!=|=|>|<|~)(.*)", re.DOTALL)


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """One condition. param: where it stands in the request, for messages."""

    field: str
    op: str
    value: Any
    param: str = "filters"

    def __str__(self) -> str:
        return f"{self.field} {self.op} {self.value!r}"


def filters_of(values: Sequence[Mapping[str, Any]]) -> tuple[Filter, ...]:
    """Filters of a request's body: objects with field, op and value. Raises BadRequest naming what is wrong."""
    found = []
    for place, value in enumerate(values):
        at = f"filters[{place}]"
        if not isinstance(value, Mapping) or set(value) != {"field", "op", "value"}:
            raise BadRequest(f"{at}: an object with field, op and value", param=at)
        if not isinstance(value["field"], str):
            raise BadRequest(f"{at}.field: the name of a column", param=f"{at}.field")
        found.append(Filter(field=value["field"], op=str(value["op"]), value=value["value"], param=at))
    return tuple(found)


def filter_of(text: str) -> Filter:
    """A filter as the command line has it: `temperature>=0.5`, `model=spark-chat`, `text~hello`.

    The value is a number, true, false or null where it reads as one and the column is no text.
    """
    found = CONDITION.fullmatch(text)
    if found is None:
        raise BadRequest(
            f"--where {text!r}: no condition", hint="temperature>=0.5, or = != < <= > ~", param="where"
        )
    field, sign, value = found.groups()
    return Filter(field=field, op=SIGNS[sign], value=Words(value.strip()), param="where")


class Words(str):
    """A value of the command line: text that becomes what the column holds."""

    __slots__ = ()


def mask(rows: "pa.RecordBatch", filters: Sequence[Filter]) -> "pa.Array[Any] | None":
    """Which rows meet all conditions; None where there are none. Checked before with `check`."""

    pc = compute()
    kept = None
    for one in filters:
        column = rows.column(one.field)
        met = pc.fill_null(_met(column, one), False)
        kept = met if kept is None else pc.and_(kept, met)
    return kept


def check(schema: "pa.Schema", filters: Sequence[Filter]) -> None:
    """Raises BadRequest for an unknown column, an unknown operator, or a value that the column cannot have."""
    if len(filters) > MOST:
        raise BadRequest(f"filters: {len(filters):,} conditions, over the limit of {MOST}", param="filters")
    for one in filters:
        if one.field not in schema.names:
            raise unknown_field(one.field, schema.names, f"{one.param}.field")
        if one.op not in OPERATORS:
            known = ", ".join(OPERATORS)
            raise BadRequest(f"{one.param}.op: {one.op!r} is none of {known}", param=f"{one.param}.op")
        kind = schema.field(one.field).type
        if one.op == "in":
            if not isinstance(one.value, list | tuple):
                raise BadRequest(f"{one.param}.value: a list of values", param=f"{one.param}.value")
            if len(one.value) > MOST_VALUES:
                raise BadRequest(f"{one.param}.value: over {MOST_VALUES:,} values", param=f"{one.param}.value")
            for value in one.value:
                _value(value, kind, one)
        elif one.op == "contains":
            if not isinstance(one.value, str) or not _is_text(kind):
                raise BadRequest(f"{one.param}: contains takes text, of a column of text", param=one.param)
        elif one.value is None and one.op not in ("eq", "ne"):
            raise BadRequest(f"{one.param}.value: null compares only with eq and ne", param=f"{one.param}.value")
        else:
            _value(one.value, kind, one)


def unknown_field(name: str, known: Sequence[str], param: str) -> BadRequest:
    """The error for a column that there is not."""
    return BadRequest(f"{param}: no column {name!r}", hint=f"known: {', '.join(known)}", param=param)


def _met(column: "pa.Array[Any]", one: Filter) -> Any:
    import pyarrow as pa

    pc = compute()
    if one.op == "contains":
        return pc.match_substring(column, str(one.value), ignore_case=True)
    if one.op == "in":
        values = [value for item in one.value if (value := _value(item, column.type, one)) is not None]
        if pa.types.is_integer(column.type):  # 0.5 is none of them
            values = [int(value) for value in values if value == int(value)]
        if pa.types.is_floating(column.type):  # Arrow refuses whole numbers that a float would round
            values = [float(value) for value in values]
        return pc.is_in(column, value_set=pa.array(values, column.type), skip_nulls=True)
    value = _value(one.value, column.type, one)
    if value is None:
        return pc.is_null(column) if one.op == "eq" else pc.is_valid(column)
    kind = column.type
    if pa.types.is_integer(kind) and isinstance(value, float):  # `max_tokens < 48.5` is a fair question
        column, kind = column.cast(pa.float64(), safe=False), pa.float64()
    if pa.types.is_floating(kind):
        value = float(value)
    return pc.call_function(COMPARED[one.op], [column, pa.scalar(value, kind)])


def _value(value: Any, kind: "pa.DataType", one: Filter) -> Any:
    """The value in the column's type. Raises BadRequest."""
    import pyarrow as pa

    if isinstance(value, Words):
        value = None if value == "null" else _worded(value, kind)
    fits = value is None
    if pa.types.is_boolean(kind):
        fits = fits or isinstance(value, bool)
    elif pa.types.is_integer(kind) or pa.types.is_floating(kind):
        fits = fits or (isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 2**63)
    elif pa.types.is_timestamp(kind) and isinstance(value, str):
        value, fits = _moment(value)
    elif _is_text(kind):
        fits = fits or isinstance(value, str)
    if not fits:
        raise BadRequest(f"{one.param}.value: {value!r} is no {_word(kind)}", param=f"{one.param}.value")
    return value


def _worded(value: str, kind: "pa.DataType") -> Any:
    import pyarrow as pa

    if pa.types.is_boolean(kind):
        return {"true": True, "false": False}.get(value.lower(), value)
    if pa.types.is_integer(kind) or pa.types.is_floating(kind):
        try:
            return int(value)
        except ValueError:
            try:
                return float(value)
            except ValueError:
                return str(value)
    return str(value)


def _moment(value: str) -> tuple[datetime | None, bool]:
    try:
        found = datetime.fromisoformat(value)
        return (found if found.tzinfo else found.replace(tzinfo=UTC)).astimezone(UTC), True
    except (ValueError, OverflowError):  # the first and the last hours of all in another zone are no time in UTC
        return None, False


def _is_text(kind: "pa.DataType") -> bool:
    import pyarrow as pa

    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _word(kind: "pa.DataType") -> str:
    import pyarrow as pa

    if pa.types.is_boolean(kind):
        return "truth value"
    if pa.types.is_timestamp(kind):
        return "time (ISO 8601)"
    return "text" if _is_text(kind) else "number"
