"""Strict tools: when a grammar is due, and what it holds a call to."""

import json
from typing import Any

import pytest

from cluster.engines.json_spacing import spaced
from cluster.engines.strict_tools import call_of, forced, outputs, wanted

CITY = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}


def tool(name: str, **fields: Any) -> dict[str, Any]:
    return {"type": "function", "function": {"name": name, **fields}}


@pytest.mark.parametrize(
    ("tools", "choice", "due"),
    [
        ([tool("a", strict=True)], None, True),
        ([tool("a"), tool("b", strict=True)], "auto", True),
        ([tool("a", strict=True)], "required", False),
        ([tool("a", strict=True)], {"type": "function", "function": {"name": "a"}}, False),
        ([tool("a", strict=True)], "none", False),
        ([tool("a", strict=False)], None, False),
        ([tool("a", strict="yes")], None, False),
        (None, None, False),
        ([5, {"function": "x"}], None, False),
    ],
)
def test_a_grammar_is_due_where_the_model_chooses_and_a_tool_is_strict(tools: Any, choice: Any, due: bool) -> None:
    assert wanted(tools, choice) is due


TOOLS = [tool("look", strict=True, parameters=CITY), tool('say "hi"', parameters=CITY)]


def test_every_tool_may_be_called_and_the_strict_ones_by_their_schema_alone() -> None:
    made = json.loads(outputs(TOOLS, tokens=False)["structural_tag"])
    assert made["triggers"] == ["<tool_call>"]
    begins = {structure["begin"]: structure["schema"] for structure in made["structures"]}
    assert begins['<tool_call>{"name": "look", "arguments": '] == spaced(CITY)
    assert begins['<tool_call>\n{"name": "look", "arguments": '] == spaced(CITY)
    assert begins['<tool_call>{"name": "say \\"hi\\"", "arguments": '] == spaced({"type": "object"})
    assert {structure["end"] for structure in made["structures"]} == {"}</tool_call>", "}\n</tool_call>"}


def test_marks_that_are_tokens_stand_in_the_grammar_as_tokens() -> None:
    grammar = outputs(TOOLS, tokens=True)["grammar"]
    assert f"%json {json.dumps(spaced(CITY))}" in grammar
    assert "call: <tool_call> BREAK (call_0 | call_1)" in grammar


def test_a_forced_call_is_of_the_named_tool_or_of_any() -> None:
    named = {"type": "function", "function": {"name": "look"}}
    assert forced(TOOLS, "required", tokens=True) == TOOLS
    assert forced(TOOLS, named, tokens=True) == TOOLS[:1]
    for choice in (None, "auto", "none", {"function": {"name": "nope"}}, {}):
        assert forced(TOOLS, choice, tokens=True) == []
    assert forced(TOOLS, "required", tokens=False) == []
    assert forced(TOOLS, "required", tokens=None) == []


def test_a_forced_call_leaves_no_other_text() -> None:
    assert "\nstart: call\n" in call_of(TOOLS, several=False)["grammar"]
    assert "\nstart: call+\n" in call_of(TOOLS, several=True)["grammar"]
    assert "TEXT" not in call_of(TOOLS, several=True)["grammar"]
    assert call_of(TOOLS, several=False)["grammar"].count(json.dumps(spaced(CITY))) == 2
