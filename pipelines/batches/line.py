"""One line of a batch's input: read, and checked as OpenAI checks it. Its body is the gateway's to check."""

import json
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic_core import from_json

LONGEST_ID = 512  # characters of a custom_id
SHOWN = 64  # characters of somebody's own text that a message repeats
BOM = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """Why a line cannot run, in OpenAI's shape. line: from 1, None where it is the whole file."""

    code: str
    message: str
    line: int | None = None
    param: str | None = None

    def told(self) -> dict[str, Any]:
        """As `errors.data` of a batch has it."""
        return {"code": self.code, "line": self.line, "message": self.message, "param": self.param}


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A line that may run. number: from 1. body: a JSON object, as bytes."""

    number: int
    custom_id: str
    body: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What lines must keep to. models: those that may be asked. Sizes in bytes."""

    endpoint: str
    models: Collection[str]
    max_lines: int
    max_line_bytes: int


def raw_lines(path: Path, max_bytes: int) -> Iterator[tuple[int, bytes | None]]:
    """The lines that are not blank, with their numbers from 1; None for one that is too long to be read."""
    with path.open("rb") as file:
        number = 0
        while piece := file.readline(max_bytes + 1):
            number += 1
            if len(piece) > max_bytes and not piece.endswith(b"\n"):
                while piece and not piece.endswith(b"\n"):  # the rest of it, never whole in memory
                    piece = file.readline(max_bytes)
                yield number, None
                continue
            text = piece.removeprefix(BOM) if number == 1 else piece
            if text.strip():
                yield number, text


def read_line(number: int, raw: bytes | None, rules: Rules, *, any_model: bool = False) -> Line | Problem:
    """A line as it may run, or what is wrong with it. any_model: its model was looked at before."""
    if raw is None:
        return Problem(
            code="line_too_long", message=f"This line is longer than {rules.max_line_bytes} bytes.", line=number
        )
    try:
        data = from_json(raw, allow_inf_nan=False)
    except ValueError:
        data = None
    if not isinstance(data, dict):
        message = "This line is not parseable as valid JSON." if data is None else "This line is no JSON object."
        return Problem(code="invalid_json_line", message=message, line=number)
    fault = _fault(data, rules) or (None if any_model else _missing_model(data["body"], rules))
    if fault is not None:
        code, message, param = fault
        return Problem(code=code, message=message, line=number, param=param)
    return Line(number=number, custom_id=data["custom_id"], body=json.dumps(data["body"]).encode())


def _fault(data: dict[str, Any], rules: Rules) -> tuple[str, str, str] | None:
    """Code, message and parameter of the first thing that is wrong."""
    unknown = sorted(data.keys() - {"custom_id", "method", "url", "body"})
    if unknown:
        name = unknown[0][:SHOWN]
        return "unknown_parameter", f"Unknown parameter: '{name}'.", name
    for name in ("custom_id", "method", "url", "body"):
        if name not in data:
            return "missing_required_parameter", f"Missing required parameter: '{name}'.", name
    custom_id, body = data["custom_id"], data["body"]
    if not isinstance(custom_id, str) or not 0 < len(custom_id) <= LONGEST_ID:
        return "invalid_custom_id", f"custom_id is a text of 1 to {LONGEST_ID} characters.", "custom_id"
    if data["method"] != "POST":
        return "invalid_method", f"The method is POST, not {_shown(data['method'])}.", "method"
    if data["url"] != rules.endpoint:
        message = f"The url is {_shown(data['url'])}, but the endpoint of this batch is '{rules.endpoint}'."
        return "invalid_url", message, "url"
    if not isinstance(body, dict):
        return "invalid_body", "The body is a JSON object.", "body"
    if "model" not in body:
        return "missing_required_parameter", "Missing required parameter: 'body.model'.", "body.model"
    return None


def _missing_model(body: dict[str, Any], rules: Rules) -> tuple[str, str, str] | None:
    if not isinstance(body["model"], str) or body["model"] not in rules.models:
        return "model_not_found", f"The model {_shown(body['model'])} does not exist here.", "body.model"
    return None


def _shown(value: object) -> str:
    return repr(value)[:SHOWN]
