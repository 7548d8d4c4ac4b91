"""Items as they are stored and listed: every one with an id and a type, content always as parts.

An item's id holds that of its response, `msg_<response>_<place>`, so that a reference to it is found without an
index of items.
"""

import re
import secrets
from collections.abc import Sequence
from typing import Any

from deployments.gateway.openai.responses.wire import (
    FileSearchCall,
    FunctionCall,
    FunctionCallOutput,
    InputImage,
    InputMessage,
    OutputMessage,
    OutputText,
    Reasoning,
)

Stored = dict[str, Any]
"""An item as JSON."""

ITEM_ID = re.compile(r"[a-z]{2,4}_([0-9a-f]{48})_[0-9]{1,6}")
PREFIXES = {
    "message": "msg",
    "function_call": "fc",
    "function_call_output": "fco",
    "reasoning": "rs",
    "file_search_call": "fs",
}


def new_response_id() -> str:
    """An id that nobody guesses."""
    return f"resp_{secrets.token_hex(24)}"


def item_id(kind: str, response_id: str, place: int) -> str:
    """The id of a response's item. place: among its input and output items, in this order."""
    return f"{PREFIXES[kind]}_{response_id.removeprefix('resp_')}_{place}"


def response_of(item: str) -> str | None:
    """The id of the response that an item belongs to; None for an id that was not made here."""
    made = ITEM_ID.fullmatch(item)
    return f"resp_{made[1]}" if made else None


def message(text: str) -> Stored:
    """What a user says in one string."""
    return {"type": "message", "role": "user", "content": [{"type": "input_text", "text": text}]}


Sent = InputMessage | OutputMessage | FunctionCall | FunctionCallOutput | Reasoning | FileSearchCall


def stored(item: Sent) -> Stored:
    """A request's item, still without an id where it came without one."""
    if isinstance(item, InputMessage | OutputMessage):
        return {**_head(item), "type": "message", "role": item.role, "content": _parts(item)}
    return {**item.model_dump(exclude_none=True), **_head(item)}


def numbered(items: Sequence[Stored], response_id: str) -> tuple[Stored, ...]:
    """The items, each with an id and a status."""
    return tuple(
        {"id": item_id(item["type"], response_id, place), "status": "completed", **item}
        for place, item in enumerate(items)
    )


def _head(item: Sent) -> Stored:
    head = {"id": item.id, "status": item.status}
    return {name: value for name, value in head.items() if value is not None}


def _parts(item: InputMessage | OutputMessage) -> list[Stored]:
    if isinstance(item.content, str):
        if item.role == "assistant":
            return [{"type": "output_text", "text": item.content, "annotations": []}]
        return [{"type": "input_text", "text": item.content}]
    parts = []
    for part in item.content:
        written = part.model_dump(exclude_none=True)
        if isinstance(part, InputImage):
            written.setdefault("detail", "auto")
        if isinstance(part, OutputText):
            written.setdefault("annotations", [])
        parts.append(written)
    return parts
