"""Filters on documents: what passes, and what is refused by its place."""

import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cluster.documents import Document
from cluster.errors import BadRequest
from cluster.filters import MAX_DEPTH, MAX_PARTS, MAX_VALUES, parse_filter


def document(
    *, tags: tuple[str, ...] = (), created: int = 1_700_000_000, **metadata: str | float | bool
) -> Document:
    return Document(
        id="a" * 64,
        source="papers/one.pdf",
        media_type="application/pdf",
        chunks=3,
        created=created,
        tags=tags,
        metadata=metadata,
    )


def passes(body: dict[str, Any], of: Document) -> bool:
    return parse_filter(body, param="where").matches(of)


def one(kind: str, key: str, value: Any) -> dict[str, Any]:
    return {"type": kind, "key": key, "value": value}


@pytest.mark.parametrize(
    ("kind", "value", "expected"),
    [
        ("eq", 2024, True),
        ("eq", 2024.0, True),
        ("eq", "2024", False),
        ("ne", 2024, False),
        ("ne", "2024", True),
        ("gt", 2023, True),
        ("gt", 2024, False),
        ("gte", 2024, True),
        ("lt", 2024.5, True),
        ("lt", 2024, False),
        ("lte", 2024, True),
        ("gt", "1", False),
        ("in", [1, 2024], True),
        ("in", ["2024"], False),
        ("nin", [1, 2024], False),
        ("nin", [1], True),
    ],
)
def test_a_number_compares(kind: str, value: Any, expected: bool):
    assert passes(one(kind, "year", value), document(year=2024)) is expected


@pytest.mark.parametrize(
    ("kind", "value", "expected"),
    [("gte", "2024-05-01", True), ("lt", "2024-05-01", False), ("gt", 5, False), ("eq", "2024-05-02", True)],
)
def test_a_text_compares_letter_by_letter(kind: str, value: Any, expected: bool):
    assert passes(one(kind, "day", value), document(day="2024-05-02")) is expected


def test_a_truth_value_is_no_number():
    assert passes(one("eq", "final", True), document(final=True))
    assert not passes(one("eq", "final", 1), document(final=True))
    assert not passes(one("eq", "count", True), document(count=1))
    assert not passes(one("gt", "final", 0), document(final=True))


@pytest.mark.parametrize(
    ("kind", "expected"),
    [("eq", False), ("gt", False), ("gte", False), ("lt", False), ("lte", False), ("ne", True)],
)
def test_a_missing_field_passes_ne_alone(kind: str, expected: bool):
    assert passes(one(kind, "year", 5), document()) is expected


def test_a_missing_field_passes_nin_and_not_in():
    assert not passes(one("in", "year", [5]), document())
    assert passes(one("nin", "year", [5]), document())


@pytest.mark.parametrize(
    ("kind", "value", "expected"),
    [
        ("eq", "draft", True),
        ("eq", "other", False),
        ("ne", "draft", False),
        ("ne", "other", True),
        ("in", ["other", "paper"], True),
        ("in", ["other"], False),
        ("nin", ["other", "paper"], False),
        ("nin", ["other"], True),
    ],
)
def test_tags_are_asked_for_one_of_them(kind: str, value: Any, expected: bool):
    assert passes(one(kind, "tags", value), document(tags=("draft", "paper"))) is expected


def test_a_document_without_tags_has_none():
    assert passes(one("ne", "tags", "draft"), document())
    assert not passes(one("eq", "tags", "draft"), document())


def test_a_documents_own_fields_hide_metadata_of_their_name():
    of = document(source="hidden", media_type="hidden")
    assert passes(one("eq", "source", "papers/one.pdf"), of)
    assert passes(one("in", "media_type", ["application/pdf"]), of)
    assert passes(one("gte", "created", 1_700_000_000), of)
    assert not passes(one("lt", "created", 1_700_000_000), of)


def test_and_or_nest():
    both = {"type": "and", "filters": [one("eq", "a", 1), one("eq", "b", 2)]}
    either = {"type": "or", "filters": [both, one("eq", "tags", "draft")]}
    assert passes(either, document(a=1, b=2))
    assert passes(either, document(tags=("draft",)))
    assert not passes(either, document(a=1))


@pytest.mark.parametrize(
    ("body", "place"),
    [
        ([], "where"),
        ("year", "where"),
        ({}, "where.type"),
        ({"type": "like", "key": "a", "value": 1}, "where.type"),
        ({"type": ["eq"], "key": "a", "value": 1}, "where.type"),
        ({"type": "eq", "value": 1}, "where.key"),
        (one("eq", "", 1), "where.key"),
        (one("eq", 7, 1), "where.key"),
        ({"type": "eq", "key": "a"}, "where.value"),
        (one("eq", "a", None), "where.value"),
        (one("eq", "a", [1]), "where.value"),
        (one("eq", "a", {"b": 1}), "where.value"),
        (one("eq", "a", math.nan), "where.value"),
        (one("eq", "a", "x" * 5000), "where.value"),
        (one("gt", "a", True), "where.value"),
        (one("in", "a", 1), "where.value"),
        (one("in", "a", "text"), "where.value"),
        (one("in", "a", []), "where.value"),
        (one("in", "a", [1, [2]]), "where.value[1]"),
        (one("in", "a", [1] * (MAX_VALUES + 1)), "where.value"),
        (one("gt", "tags", "a"), "where.type"),
        (one("eq", "tags", 5), "where.value"),
        (one("eq", "created", "today"), "where.value"),
        (one("eq", "created", True), "where.value"),
        (one("in", "source", ["a", 5]), "where.value[1]"),
        ({**one("eq", "a", 1), "extra": 2}, "where.extra"),
        ({"type": "and"}, "where.filters"),
        ({"type": "and", "filters": []}, "where.filters"),
        ({"type": "and", "filters": [one("eq", "a", 1)], "key": "a"}, "where.key"),
        ({"type": "or", "filters": [one("eq", "a", 1), one("eq", None, 1)]}, "where.filters[1].key"),
    ],
)
def test_a_bad_filter_is_refused_by_its_place(body: Any, place: str):
    with pytest.raises(BadRequest) as refused:
        parse_filter(body, param="where")
    assert refused.value.param == place


def test_depth_and_size_are_bounded():
    deep: dict[str, Any] = one("eq", "a", 1)
    for _ in range(MAX_DEPTH - 1):
        deep = {"type": "and", "filters": [deep]}
    assert passes(deep, document(a=1))
    with pytest.raises(BadRequest, match="nested"):
        parse_filter({"type": "and", "filters": [deep]}, param="where")
    wide = {"type": "or", "filters": [one("eq", "a", number) for number in range(MAX_PARTS)]}
    with pytest.raises(BadRequest, match="too many"):
        parse_filter(wide, param="where")
    wide["filters"].pop()
    assert passes(wide, document(a=3))


VALUES = st.one_of(st.integers(-3, 3), st.sampled_from(["a", "b"]), st.booleans(), st.floats(-3, 3))
FILTERS = st.recursive(
    st.one_of(
        st.builds(one, st.sampled_from(["eq", "ne"]), st.just("k"), VALUES),
        st.builds(one, st.sampled_from(["in", "nin"]), st.just("k"), st.lists(VALUES, min_size=1, max_size=3)),
    ),
    lambda inner: st.builds(
        lambda kind, filters: {"type": kind, "filters": filters},
        st.sampled_from(["and", "or"]),
        st.lists(inner, min_size=1, max_size=3),
    ),
    max_leaves=6,
)
OPPOSITE = {"eq": "ne", "ne": "eq", "in": "nin", "nin": "in", "and": "or", "or": "and"}


def opposite(body: dict[str, Any]) -> dict[str, Any]:
    turned = {**body, "type": OPPOSITE[body["type"]]}
    if "filters" in body:
        turned["filters"] = [opposite(each) for each in body["filters"]]
    return turned


@given(body=FILTERS, held=st.one_of(st.none(), VALUES))
@settings(max_examples=50, deadline=None)
def test_a_filter_and_its_opposite_share_out_all_documents(body: dict[str, Any], held: Any):
    of = document() if held is None else document(k=held)
    assert passes(body, of) is not passes(opposite(body), of)


@given(
    body=st.recursive(
        st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5)),
        lambda inner: st.one_of(
            st.lists(inner, max_size=3),
            st.dictionaries(st.sampled_from(["type", "key", "value", "filters", "x"]), inner, max_size=4),
            st.fixed_dictionaries(
                {"type": st.sampled_from(["and", "or", "eq", "in", "gt"]), "key": inner, "value": inner}
            ),
            st.fixed_dictionaries({"type": st.sampled_from(["and", "or"]), "filters": inner}),
        ),
        max_leaves=10,
    )
)
@settings(max_examples=60, deadline=None)
def test_any_json_is_read_or_refused(body: Any):
    try:
        passed = parse_filter(body, param="where").matches(document(tags=("a",), k=1))
    except BadRequest as error:
        refused = error
    else:
        assert isinstance(passed, bool)
        return
    assert refused.param is not None
    assert refused.param.startswith("where")
