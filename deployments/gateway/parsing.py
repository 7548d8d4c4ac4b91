"""From bytes to a checked request: malformed JSON and wrong fields become errors that name the field."""

from typing import Any, TypeVar

from pydantic import ValidationError
from pydantic_core import ErrorDetails, from_json

from cluster.errors import BadRequest
from deployments.gateway.wire import Wire

Request = TypeVar("Request", bound=Wire)

UNION_TAGS = frozenset(
    {"system", "developer", "user", "assistant", "tool", "text", "image_url", "str", "list[str]", "list[int]"}
    | {"image", "tool_use", "tool_result", "TextDocument"}
    | {"message", "function_call", "function_call_output", "reasoning", "item_reference"}
    | {"input_text", "input_image", "output_text", "refusal"}
    | {"file_search_call", "function_tool", "file_search_tool"}
)


def parse(kind: type[Request], body: bytes) -> Request:
    """A request body as its model. Raises BadRequest with `param`, the path of the first wrong field."""
    return parsed(kind, json_object(body))


def json_object(body: bytes, *, hint: str = "send fields such as model and messages") -> dict[str, Any]:
    """A request body as a JSON object, not yet checked. hint: for who sends no object. Raises BadRequest."""
    try:
        # NaN and Infinity are no JSON; the parser's own depth limit refuses nesting made to exhaust the stack.
        data = from_json(body, allow_inf_nan=False)
    except ValueError as error:
        raise BadRequest(f"The body is not valid JSON: {error}", hint="send one JSON object") from None
    if not isinstance(data, dict):
        raise BadRequest("The body must be a JSON object", hint=hint)
    return data


def parsed(kind: type[Request], data: dict[str, Any]) -> Request:
    """The same of a JSON object that is read already."""
    try:
        return kind.model_validate(data)
    except ValidationError as error:
        raise explain(error.errors(include_url=False, include_context=False)) from None


def explain(problems: list[ErrorDetails]) -> BadRequest:
    """The most telling problem: of a union's alternatives, the one that came furthest."""
    worst = max(problems, key=lambda problem: (len(problem["loc"]), not problem["type"].endswith("_type")))
    param = path_of(worst["loc"])
    got = worst.get("input")
    if worst["type"] == "extra_forbidden":
        return BadRequest(f"Unknown parameter: {param}", param=param, hint="remove it; it would be ignored")
    if worst["type"] == "missing":
        return BadRequest(f"Missing required parameter: {param}", param=param)
    message = worst["msg"].removeprefix("Value error, ").removeprefix("Input ")
    shown = f" (got {str(got)[:60]!r})" if isinstance(got, str | int | float | bool | None) else ""
    return BadRequest(f"Invalid value for {param or 'the body'}: {message}{shown}", param=param)


def path_of(location: tuple[int | str, ...]) -> str | None:
    """A field's path as clients write it: `messages[0].content`. Names that pydantic adds for unions go."""
    path = ""
    for depth, part in enumerate(location):
        if isinstance(part, int):
            path += f"[{part}]"
        elif depth == 0 or not _is_tag(part, location, depth):
            path += f".{part}" if path else part
    return path or None


def _is_tag(part: str, location: tuple[int | str, ...], depth: int) -> bool:
    """Whether a part names a union's alternative and not a field: `text` is both, a tag only after an index."""
    if "[" in part or part.startswith("constrained-") or part in {"str", "int", "float", "bool"}:
        return True
    return part in UNION_TAGS and isinstance(location[depth - 1], int)
