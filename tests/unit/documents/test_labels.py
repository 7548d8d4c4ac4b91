"""What a run may say of its documents: the same on the command line as over the API, which shows it."""

import json
from typing import Any

import pytest
import typer
from hypothesis import given, settings
from hypothesis import strategies as st

from cluster.errors import BadRequest
from deployments.gateway.documents.labels import read_metadata, read_tags
from pipelines.documents.command import _labels
from pipelines.documents.labels import wrong_field, wrong_tag

NAMES = st.sampled_from(["year", "tags", "source", "created", "", "n" * 64, "n" * 65, "a\nb", "k\u2028"])
VALUES = (
    st.booleans()
    | st.integers(-(2**54), 2**54)
    | st.sampled_from([2**53, 2**53 - 1, -(2**53), -(2**53) + 1, 1.5, 1e300, None, [], {}, ["a"]])
    | st.text(st.characters(codec="utf-8"), max_size=5)
    | st.sampled_from(["t" * 512, "t" * 513, "a\0b"])
)


@settings(max_examples=300, deadline=None)
@given(name=NAMES, value=VALUES)
def test_a_field_is_refused_where_the_api_refuses_it(name: str, value: Any) -> None:
    try:
        told = read_metadata(json.dumps({name: value}))
    except BadRequest:
        assert wrong_field(name, value)
    else:
        assert wrong_field(name, value) is None
        assert told == {name: value}


@pytest.mark.parametrize("tag", ["a", "two words", "t" * 64, "t" * 65, "a\nb", "a\u200bb", " "])
def test_a_tag_is_refused_where_the_api_refuses_it(tag: str) -> None:
    try:
        read = read_tags([tag])
    except BadRequest:
        read = ()
    assert (wrong_tag(tag) is None) is (read == (tag,))


@pytest.mark.parametrize(
    "metadata",
    [
        '{"a": NaN}',
        '{"a": 1e999}',
        '{"tags": "x"}',
        '{"a": 99999999999999999999}',
        '{"a": "\\ud800"}',
        '{"a": null}',
        "[]",
        "{",
        "[" * 100_000,
        json.dumps({f"n{number}": 1 for number in range(17)}),
    ],
)
def test_metadata_that_cannot_be_shown_is_refused_before_anything_is_read(metadata: str) -> None:
    """A NaN came as far as `GET /api/v1/documents`, which could show no document of the collection any more."""
    with pytest.raises(typer.BadParameter):
        _labels(None, metadata)


@pytest.mark.parametrize("tags", [["a,b"], ["a", " "], ["\udcff"], [f"t{number}" for number in range(33)]])
def test_tags_that_nobody_could_ask_for_are_refused(tags: list[str]) -> None:
    with pytest.raises(typer.BadParameter):
        _labels(tags, None)


def test_labels_are_taken_as_they_are_said() -> None:
    labels = _labels(["b", "a", "b"], '{"year": 2024, "open": true, "rate": 1.5, "by": "Ann"}')
    assert labels.tags == ("b", "a")
    assert labels.metadata == {"year": 2024, "open": True, "rate": 1.5, "by": "Ann"}
