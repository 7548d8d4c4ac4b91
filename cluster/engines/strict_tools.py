"""Tools that are `strict` where the model chooses whether to call: once it begins a call, its text is held to one.

vLLM derives such grammars for its compiler xgrammar alone. Ours is llguidance: it takes Lark where the marks of a
call are tokens of their own, which its texts never match, and else a text that triggers and what may follow it.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

START, END = "<tool_call>", "</tool_call>"
PARSERS = ("hermes",)  # those that read a call written so
ANYTHING = {"type": "object"}
BREAKS = ("", "\n")  # what models of this form write after START, each as it was trained


def wanted(tools: object, choice: object) -> bool:
    """Whether some tool is strict, and its call is not forced: a forced one follows its schema anyway."""
    if choice not in (None, "auto") or not isinstance(tools, list):
        return False
    return any(_function(tool).get("strict") is True for tool in tools)


def outputs(tools: Sequence[Mapping[str, Any]], *, tokens: bool) -> dict[str, str]:
    """vLLM's `structured_outputs` for any text in which a call is one of a tool with its arguments' schema.

    tokens: whether the model's tokenizer has START and END as tokens. Tools that are not strict may have any object
    as arguments.
    """
    functions = [_function(tool) for tool in tools]
    return {"grammar": _lark(functions)} if tokens else {"structural_tag": _triggered(functions)}


def _lark(functions: Sequence[Mapping[str, Any]]) -> str:
    rules = [
        f"call_{number}: {json.dumps(_opening(function))} %json {json.dumps(_schema(function))} "
        for number, function in enumerate(functions)
    ]
    names = " | ".join(f"call_{number}" for number in range(len(functions)))
    head = (
        f'start: TEXT (call TEXT)*\nTEXT: /(.|\\n)*/\nBREAK: /\\n?/\ncall: {START} BREAK ({names}) "}}" BREAK {END}'
    )
    return "\n".join(["%llguidance {}", head, *rules])


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
    return (function.get("parameters") if function.get("strict") is True else None) or ANYTHING


def _function(tool: object) -> Mapping[str, Any]:
    function = tool.get("function") if isinstance(tool, Mapping) else None
    return function if isinstance(function, Mapping) else {}
