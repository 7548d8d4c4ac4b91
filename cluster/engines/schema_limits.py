"""What a client's JSON schema may ask of a grammar compiler, checked before it gets there.

A schema is a program that somebody else wrote: a compiler can be kept busy for minutes by two kilobytes of it,
and cannot be interrupted. The limits are several times what OpenAI's own structured outputs allow, and were set
by measuring: the worst schema within them compiles in about a second.
"""

import json
import re
from collections.abc import Iterator
from typing import Any

from cluster.errors import BadRequest, UnsupportedParameter

MAX_SCHEMA_BYTES = 128 * 1024  # ten thousand short enum values fit
MAX_PATTERN = 512  # characters of one regular expression
MAX_PATTERNS = 64  # in one schema
MAX_ITEMS = 10_000  # of an array; lengths of strings cost nothing
COUNTS = ("minItems", "maxItems", "minContains", "maxContains")
MAX_CHOICES = 1000  # of structured_outputs.choice
MAX_CHOICE = 1024  # characters of one
MAX_REPEATS = 10_000  # characters that a regular expression's counts make of it; the compiler gives up at more
COUNT = re.compile(r"\{(\d*)(?:,(\d*))?\}")
OUTPUTS = ("json", "regex", "choice", "json_object")  # not grammars: one too large ends an answer midway, unsaid
PARAM = "response_format"
TOOL_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")  # as at OpenAI
TYPES = ("text", "json_object", "json_schema")


def check_response_format(given: object) -> None:
    """Raise BadRequest for a `json_schema` beyond the limits; its meaning is the compiler's to check."""
    if isinstance(given, dict) and isinstance(kind := given.get("type"), str) and kind not in TYPES:
        hint = f"one of {', '.join(TYPES)}"
        raise BadRequest(f"response_format.type: {kind[:40]!r} is not known here", hint=hint, param=f"{PARAM}.type")
    holder = given.get("json_schema") if isinstance(given, dict) else None
    check_schema(holder.get("schema") if isinstance(holder, dict) else None, PARAM)


def check_tools(tools: object) -> None:
    """Raise BadRequest for a tool beyond the limits."""
    for at, tool in enumerate(tools if isinstance(tools, list) else ()):
        function = tool.get("function") if isinstance(tool, dict) else None
        if not isinstance(function, dict):
            continue
        where = f"tools[{at}].function"
        name = function.get("name")
        if isinstance(name, str) and TOOL_NAME.fullmatch(name) is None:
            hint = "1 to 64 letters, digits, _ and -"
            raise BadRequest(f"{where}.name: {name[:40]!r} is no function's name", hint=hint, param=f"{where}.name")
        check_schema(function.get("parameters"), f"{where}.parameters")


def check_outputs(given: object, response_format: object = None) -> None:
    """Raise for vLLM's `structured_outputs` beyond the limits; its meaning is the compiler's to check."""
    where = "structured_outputs"
    if given is None:
        return
    if response_format is not None:
        raise BadRequest(f"{where} goes without response_format", hint="send one of them", param=where)
    if not isinstance(given, dict):
        raise BadRequest(f"{where}: not an object", hint=f"one of {', '.join(OUTPUTS)}", param=where)
    held = {name: value for name, value in given.items() if value is not None}
    for name in held.keys() - set(OUTPUTS):
        param = f"{where}.{name}"
        raise UnsupportedParameter(f"{param[:80]} is not honoured here", hint=", ".join(OUTPUTS), param=param[:80])
    if len(held) != 1:
        raise BadRequest(f"{where} holds {len(held)} kinds", hint=f"one of {', '.join(OUTPUTS)}", param=where)
    [(name, value)] = held.items()
    param = f"{where}.{name}"
    if name == "json":
        check_schema(_object_of(value, param), param)
    elif name == "json_object":
        _expect(value is True, param, "not true", "leave it out, or send true")
    elif name == "choice":
        _expect(
            isinstance(value, list) and 0 < len(value) <= MAX_CHOICES, param, "not a list of choices", "1 to 1000"
        )
        fit = all(isinstance(item, str) and 0 < len(item) <= MAX_CHOICE for item in value)
        _expect(fit, param, "a choice is no text, or too long", f"texts of 1 to {MAX_CHOICE} characters")
    else:
        fit = isinstance(value, str) and 0 < len(value) <= MAX_PATTERN
        _expect(fit, param, "no text, or too long", f"1 to {MAX_PATTERN} characters")
        _expect(
            _size(value) <= MAX_REPEATS, param, "its counts make too much of it", f"at most {MAX_REPEATS} in all"
        )


def _object_of(schema: object, param: str) -> dict[str, Any]:
    """A schema, or its JSON text."""
    if isinstance(schema, str):
        try:
            schema = json.loads(schema)
        except (ValueError, RecursionError):
            schema = None
    if not isinstance(schema, dict):
        raise BadRequest(f"{param}: no JSON schema", hint="an object, or its JSON", param=param)
    return schema


def _size(pattern: str) -> int:
    """How many characters a regular expression is with its counts, such as {2,9}, written out."""
    at, groups, last = 0, [0], 0
    while at < len(pattern):
        char, count = pattern[at], COUNT.match(pattern, at)
        if count and last:
            most = int(count[2] or count[1] or 1)
            groups[-1] += last * (most - 1)
            at, last = count.end(), 0
            continue
        if char == "(":
            groups.append(0)
            last = 0
        elif char == ")" and len(groups) > 1:
            last = max(groups.pop(), 1)
            groups[-1] += last
        elif char not in "|*+?^$":
            at = _atom_end(pattern, at) - 1
            last = 1
            groups[-1] += 1
        at += 1
    return sum(groups)


def _atom_end(pattern: str, at: int) -> int:
    """Where the atom at a place ends: a class, an escape with its braces, or one character."""
    if pattern[at] == "[":
        end = at + 1 + pattern.startswith("^", at + 1)
        end += pattern.startswith("]", end)
        while end < len(pattern) and pattern[end] != "]":
            end += 2 if pattern[end] == "\\" else 1
        return end + 1
    if pattern[at] == "\\":
        braces = pattern[at + 1 : at + 2] in ("p", "P", "x", "u") and pattern.startswith("{", at + 2)
        return pattern.find("}", at) + 1 if braces and "}" in pattern[at:] else at + 2
    return at + 1


def _expect(held: bool, param: str, problem: str, hint: str) -> None:
    if not held:
        raise BadRequest(f"{param}: {problem}", hint=hint, param=param)


def check_schema(schema: object, param: str) -> None:
    """Raise BadRequest for a schema beyond the limits. param: where it stands."""
    if not isinstance(schema, dict):
        return
    try:
        _check(schema)
    except BadRequest as error:
        error.param = param
        raise


def _check(schema: dict[str, Any]) -> None:
    size = len(json.dumps(schema, ensure_ascii=False).encode(errors="replace"))
    if size > MAX_SCHEMA_BYTES:
        raise _too(f"The schema has {size} bytes, over the limit of {MAX_SCHEMA_BYTES}", "use a smaller one")
    if _chases_itself(schema):
        raise _too("The schema's $ref leads back to itself without ever saying anything", "give it a type")
    patterns = 0
    for node, intersected in _nodes(schema, intersected=0):
        for name in COUNTS:
            if isinstance(node.get(name), int | float) and node[name] > MAX_ITEMS:
                raise _too(f"The schema's {name} is over the limit of {MAX_ITEMS}", "use a smaller number")
        texts = _patterns(node)
        patterns += len(texts)
        if any(len(text) > MAX_PATTERN for text in texts) or patterns > MAX_PATTERNS:
            limits = f"{MAX_PATTERNS} patterns of {MAX_PATTERN} characters each"
            raise _too("The schema's patterns are over the limit", f"at most {limits}")
        if any(_size(text) > MAX_REPEATS for text in texts):
            raise _too("The counts in a pattern of the schema make too much of it", f"at most {MAX_REPEATS} in all")
        if intersected > 1 and texts:
            # The automaton of several patterns at once grows as the product of theirs.
            raise _too("The schema has a pattern in an allOf of several schemas", "write one pattern that says all")


def _too(message: str, hint: str) -> BadRequest:
    return BadRequest(message, hint=hint)


def _patterns(node: dict[str, Any]) -> list[str]:
    found = [node["pattern"]] if isinstance(node.get("pattern"), str) else []
    by_name = node.get("patternProperties")
    return found + list(by_name if isinstance(by_name, dict) else ())


def _nodes(root: dict[str, Any], *, intersected: int) -> Iterator[tuple[dict[str, Any], int]]:
    """Every object of the schema, and of how many schemas an `allOf` around it is made."""
    waiting: list[tuple[Any, int]] = [(root, intersected)]
    while waiting:
        node, together = waiting.pop()
        if isinstance(node, list):
            waiting += [(item, together) for item in node]
        elif isinstance(node, dict):
            yield node, together
            for name, item in node.items():
                inside = len(item) if name == "allOf" and isinstance(item, list) else together
                waiting.append((item, inside))


def _chases_itself(schema: dict[str, Any]) -> bool:
    """Whether some `$ref` leads from reference to reference back to where it began."""
    for node, _ in _nodes(schema, intersected=0):
        seen: set[str] = set()
        while isinstance(node, dict) and isinstance(reference := node.get("$ref"), str):
            if reference in seen:
                return True
            seen.add(reference)
            node = _at(schema, reference)
    return False


def _at(schema: dict[str, Any], reference: str) -> Any:
    """What a local JSON pointer points at; None where it leads nowhere, or out of the document."""
    if not reference.startswith("#"):
        return None
    found: Any = schema
    for part in reference.removeprefix("#").split("/")[1:]:
        name = part.replace("~1", "/").replace("~0", "~")
        found = found.get(name) if isinstance(found, dict) else None
    return found
