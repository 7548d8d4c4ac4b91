"""Which rows an export takes."""

from typing import Any

import pytest

from cluster.errors import BadRequest
from pipelines.analysis.exports.export import export_of
from pipelines.analysis.exports.filters import filter_of, filters_of
from pipelines.analysis.exports.source import TableSource
from tests.unit.exports.sweep_rows import row, table

ROWS = table(
    [
        row(0, temperature=0.2, text="Hello World", scores='{"overall": 40}'),
        row(1, temperature=0.6, text=None, error_code="engine_error", greedy=True),
        row(2, temperature=1.0, text="bye", model="other", scores='{"overall": 90}', max_tokens=None),
    ]
)


def kept(*filters: dict[str, Any]) -> list[int]:
    made = export_of(TableSource(ROWS), fields=["ordinal"], filters=filters_of(filters))
    return [value for batch in made.batches() for value in batch.column(0).to_pylist()]


def where(*conditions: str) -> list[int]:
    made = export_of(TableSource(ROWS), fields=["ordinal"], filters=[filter_of(one) for one in conditions])
    return [value for batch in made.batches() for value in batch.column(0).to_pylist()]


@pytest.mark.parametrize(
    ("field", "op", "value", "ordinals"),
    [
        ("temperature", "ge", 0.6, [1, 2]),
        ("temperature", "lt", 1, [0, 1]),
        ("model", "eq", "other", [2]),
        ("model", "ne", "other", [0, 1]),
        ("score_overall", "gt", 50, [2]),
        ("score_overall", "le", 50, [0]),
        ("score_overall", "ne", 40, [2]),
        ("error_code", "eq", None, [0, 2]),
        ("error_code", "ne", None, [1]),
        ("text", "contains", "WORLD", [0]),
        ("ordinal", "in", [0, 2, 9], [0, 2]),
        ("max_tokens", "lt", 48.5, [0, 1]),
        ("greedy", "eq", True, [1]),
        ("started", "ge", "2026-11-01T12:00:01Z", [1, 2]),
        ("started", "lt", "2026-11-01T13:00:01+01:00", [0]),
        ("seed", "eq", 2**62 + 1, [1]),
        ("seed", "gt", 1.5, [0, 1, 2]),
        ("ordinal", "in", [0.5, 2.0], [2]),
        ("temperature", "lt", 2**60, [0, 1, 2]),
        ("model", "eq", "nobody", []),
    ],
)
def test_a_filter_takes_the_rows_that_meet_it(field: str, op: str, value: Any, ordinals: list[int]) -> None:
    assert kept({"field": field, "op": op, "value": value}) == ordinals


def test_all_filters_must_hold() -> None:
    more = {"field": "temperature", "op": "ge", "value": 0.6}
    assert kept(more, {"field": "error_code", "op": "eq", "value": None}) == [2]


@pytest.mark.parametrize(
    ("filters", "param"),
    [
        ({"field": "nope", "op": "eq", "value": 1}, "filters[0].field"),
        ({"field": "model", "op": "like", "value": "x"}, "filters[0].op"),
        ({"field": "temperature", "op": "gt", "value": "warm"}, "filters[0].value"),
        ({"field": "temperature", "op": "gt", "value": True}, "filters[0].value"),
        ({"field": "temperature", "op": "gt", "value": None}, "filters[0].value"),
        ({"field": "model", "op": "eq", "value": 3}, "filters[0].value"),
        ({"field": "greedy", "op": "eq", "value": 1}, "filters[0].value"),
        ({"field": "started", "op": "gt", "value": "soon"}, "filters[0].value"),
        ({"field": "model", "op": "in", "value": "abc"}, "filters[0].value"),
        ({"field": "ordinal", "op": "contains", "value": "1"}, "filters[0]"),
        ({"field": "ordinal", "op": "eq", "value": 2**80}, "filters[0].value"),
        ({"field": "model", "op": "eq"}, "filters[0]"),
        ({"field": 3, "op": "eq", "value": 1}, "filters[0].field"),
    ],
)
def test_a_bad_filter_is_refused_with_its_place(filters: dict[str, Any], param: str) -> None:
    with pytest.raises(BadRequest) as caught:
        kept(filters)
    assert caught.value.param == param


@pytest.mark.parametrize(
    ("condition", "ordinals"),
    [
        ("temperature>=0.6", [1, 2]),
        ("max_tokens < 48.5", [0, 1]),
        ("model = other", [2]),
        ("model!=other", [0, 1]),
        ("text~hello w", [0]),
        ("greedy=true", [1]),
        ("error_code=null", [0, 2]),
    ],
)
def test_conditions_of_the_command_line(condition: str, ordinals: list[int]) -> None:
    assert where(condition) == ordinals


@pytest.mark.parametrize("condition", ["temperature", "temperature>=warm", "=3", "nope=1"])
def test_a_condition_that_is_none_is_refused(condition: str) -> None:
    with pytest.raises(BadRequest):
        where(condition)


@pytest.mark.parametrize("value", [2**53 + 1, 2**61 + 1, -(2**63) + 1])
@pytest.mark.parametrize("field", ["temperature", "score_overall", "seed", "max_tokens"])
def test_a_whole_number_that_no_float_holds_is_asked_for_like_any_other(field: str, value: int) -> None:
    """Arrow refused it for a column of numbers, and the export ended with an internal error."""
    assert kept({"field": field, "op": "in", "value": [value]}) == []
    assert kept({"field": field, "op": "eq", "value": value}) == []
    assert kept({"field": "seed", "op": "in", "value": [2**62 + 1, value]}) == [1]


@pytest.mark.parametrize("op", ["lt", "le", "gt", "ge", "in", "eq", "ne"])
def test_flags_and_texts_are_compared_or_refused(op: str) -> None:
    for field, value in (("greedy", True), ("model", "other"), ("started", "2026-11-01T12:00:01Z")):
        assert isinstance(kept({"field": field, "op": op, "value": [value] if op == "in" else value}), list)


def test_conditions_and_values_are_as_many_as_rows_can_be_held_against() -> None:
    """A million of either kept one of a gateway's few threads of exports busy for minutes."""
    assert kept({"field": "ordinal", "op": "in", "value": list(range(2, 10_002))}) == [2]
    for filters, param in (
        ([{"field": "ordinal", "op": "in", "value": list(range(10_001))}], "filters[0].value"),
        ([{"field": "ordinal", "op": "ge", "value": 0}] * 101, "filters"),
    ):
        with pytest.raises(BadRequest) as caught:
            kept(*filters)
        assert caught.value.param == param
