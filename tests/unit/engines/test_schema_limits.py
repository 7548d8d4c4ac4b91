from typing import Any

import pytest

from cluster.engines.schema_limits import MAX_PATTERN, check_response_format
from cluster.errors import BadRequest


def asked(schema: Any) -> dict[str, Any]:
    return {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}


REFUSED = {
    "another kind": {"type": "structural_tag"},
    "large": asked({"enum": ["x" * 200_000]}),
    "a reference to itself": asked({"$ref": "#"}),
    "references in a circle": asked(
        {
            "properties": {"x": {"$ref": "#/$defs/a"}},
            "$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}},
        }
    ),
    "a long pattern": asked({"pattern": "a" * (MAX_PATTERN + 1)}),
    "many patterns": asked({"anyOf": [{"pattern": f"a{i}"} for i in range(65)]}),
    "patterns together": asked({"allOf": [{"pattern": "(a|b)*a"}, {"pattern": "b"}]}),
    "a billion items": asked({"items": {"maxItems": 10**9}}),
}


@pytest.mark.parametrize("given", REFUSED.values(), ids=REFUSED.keys())
def test_a_schema_that_would_keep_the_compiler_busy_is_refused(given: dict[str, Any]) -> None:
    with pytest.raises(BadRequest) as caught:
        check_response_format(given)
    assert str(caught.value.param).startswith("response_format")


TAKEN = [
    None,
    {"type": "text"},
    {"type": "json_object"},
    asked({"type": "object", "properties": {"child": {"$ref": "#"}}}),
    asked({"enum": [f"value{i}" for i in range(8000)]}),
    asked({"allOf": [{"type": "string", "pattern": "a+"}]}),
    asked("no schema"),
]


@pytest.mark.parametrize("given", TAKEN)
def test_others_are_the_compilers_to_judge(given: Any) -> None:
    check_response_format(given)
