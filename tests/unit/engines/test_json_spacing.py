"""The spacing of constrained JSON: put into whatever holds a schema, and into nothing else."""

from typing import Any

import pytest

from cluster.engines.json_spacing import KEY, SPACING, spaced, spaced_request

SCHEMA = {"type": "object", "properties": {"ok": {"type": "boolean"}}}
SPACED = {KEY: SPACING, **SCHEMA}


@pytest.mark.parametrize(
    ("fields", "made"),
    [
        (
            {"response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": SCHEMA}}},
            {"response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": SPACED}}},
        ),
        (
            {"response_format": {"type": "json_object"}},
            {"structured_outputs": {"json": {KEY: SPACING, "type": "object"}}},
        ),
        ({"structured_outputs": {"json": SCHEMA}}, {"structured_outputs": {"json": SPACED}}),
        ({"structured_outputs": {"regex": "a+"}}, {"structured_outputs": {"regex": "a+"}}),
        ({"response_format": {"type": "text"}}, {"response_format": {"type": "text"}}),
        ({"response_format": "json"}, {"response_format": "json"}),
        ({"messages": []}, {"messages": []}),
    ],
)
def test_the_spacing_goes_where_a_schema_is(fields: dict[str, Any], made: dict[str, Any]) -> None:
    assert spaced_request(fields) == made


def test_a_schema_that_says_its_own_keeps_it() -> None:
    own = {KEY: {"whitespace_flexible": True}}
    assert spaced(own) == own
    assert spaced("no schema") == "no schema"
