"""Calls held to their schemas: those of `strict` tools, which the model chooses to make, and those that are forced.

vLLM derives such grammars for its compiler xgrammar alone. Ours is llguidance: it takes Lark where the marks of a
call are tokens of their own, which its texts never match, and else a text that triggers and what may follow it.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from cluster.engines.json_spacing import spaced

START, END = "<tool_call>", "</tool_call>"
PARSERS = ("hermes",)  # those that read a call written so
ANYTHING = {"type": "object"}
BREAKS = ("", "\n")  # what models of this form write after START, each as it was trained


def wanted(tools: object, choice: object) -> bool:
    """Whether some tool is strict, and its call is not forced: a forced one follows its schema anyway."""
    if choice not in (None, "auto") or not isinstance(tools, list):
        return False
    return any(_function(tool).get("strict") is True for tool in tools)


def forced(tools: object, choice: object, *, tokens: bool | None) -> list[Mapping[str, Any]]:
    """The tools of which one must be called, where the model can be held to its own form of a call; else none.

    vLLM would hold it to a JSON array instead. A small model that never wrote one fills it with blanks. tokens: as
    for `outputs`.
    """
    if not tokens or not isinstance(tools, list):
        return []
    if choice == "required":
        return tools
    named = choice.get("function", {}).get("name") if isinstance(choice, Mapping) else None
    return [tool for tool in tools if named is not None and _function(tool).get("name") == named]


def call_of(tools: Sequence[Mapping[str, Any]], *, several: bool) -> dict[str, str]:
    """vLLM's `structured_outputs` for a call of one of the tools by its schema, and nothing else, or some calls."""
    functions = [{**_function(tool), "strict": True} for tool in tools]
    return {"grammar": _lark(functions, f"start: call{'+' if several else ''}")}


def outputs(tools: Sequence[Mapping[str, Any]], *, tokens: bool) -> dict[str, str]:
    """vLLM's `structured_outputs` for any text in which a call is one of a tool with its arguments' schema.

    tokens: whether the model's tokenizer has START and END as tokens. Tools that are not strict may have any object
    as arguments.
    """
    functions = [_function(tool) for tool in tools]
    return (
        {"grammar": _lark(functions, "start: TEXT (call TEXT)*\nTEXT: /(.|\\n)*/")}
        if tokens
        else {"structural_tag": _triggered(functions)}
    )


def _lark(functions: Sequence[Mapping[str, Any]], start: str) -> str:
    rules = [
        f"call_{number}: {json.dumps(_opening(function))} %json {json.dumps(_schema(function))} "
        for number, function in enumerate(functions)
    ]
    names = " | ".join(f"call_{number}" for number in range(len(functions)))
    call = f'BREAK: /\\n?/\ncall: {START} BREAK ({names}) "}}" BREAK {END}'
    return "\n".join(["%llguidance {}", start, call, *rules])


def _triggered(functions: Sequence[Mapping[str, Any]]) -> str:
    structures = [
        {"begin": START + line + _opening(function), "schema": _schema(function), "end": f"}}{line}{END}"}
        for function in functions
        for line in BREAKS
    ]
    return json.dumps({"structures": structures, "triggers": [START]})


def _opening(function: Mapping[str, Any]) -> str:
    return f'{{"name": {json.dumps(function["name"])}, "arguments": '


def _schema(function: Mapping[str, Any]) -> Any:
    return spaced((function.get("parameters") if function.get("strict") is True else None) or ANYTHING)


def _function(tool: object) -> Mapping[str, Any]:
    function = tool.get("function") if isinstance(tool, Mapping) else None
    return function if isinstance(function, Mapping) else {}
