from typing import Any

import pytest

from cluster.engines.schema_limits import MAX_PATTERN, check_response_format, check_tools
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


def tool(**fields: Any) -> dict[str, Any]:
    return {"type": "function", "function": {"name": "look", **fields}}


@pytest.mark.parametrize(
    ("given", "place"),
    [
        (tool(name="../x"), "name"),
        (tool(name=""), "name"),
        (tool(name="x" * 65), "name"),
        (tool(parameters={"$ref": "#"}), "parameters"),
        (tool(parameters={"enum": ["x" * 200_000]}), "parameters"),
    ],
)
def test_an_odd_tool_is_refused_and_its_place_named(given: dict[str, Any], place: str) -> None:
    with pytest.raises(BadRequest) as caught:
        check_tools([tool(), given])
    assert caught.value.param == f"tools[1].function.{place}"


def test_what_is_no_tool_at_all_is_left_to_the_requests_own_check() -> None:
    for odd in (None, "x", [5], [{}], [{"function": "x"}], [tool(strict=True)]):
        check_tools(odd)
