"""A `chat.completion` as Anthropic's message."""

import json
from collections.abc import Mapping
from typing import Any

from pydantic_core import from_json

from cluster.errors import EngineFailure

STOPS = {"stop": "end_turn", "length": "max_tokens", "tool_calls": "tool_use", "content_filter": "refusal"}
TIER = "standard"  # the one tier there is


def message(completion: bytes, *, request_id: str, model: str) -> bytes:
    """The whole answer. Raises EngineFailure for a call whose input is no JSON object."""
    given = json.loads(completion)
    choice = given["choices"][0]
    said, calls = choice["message"].get("content") or "", choice["message"].get("tool_calls") or []
    content: list[dict[str, Any]] = []
    if said.strip() or (said and not calls):  # models put line breaks around their calls
        content.append({"type": "text", "text": said})
    content += [_tool_use(call) for call in calls]
    answer = {
        **head(request_id=request_id, model=given.get("model") or model),  # a fallback may have answered
        "content": content,
        **stopped(choice, called=bool(calls)),
        "usage": {**usage(given.get("usage")), "service_tier": TIER},
    }
    return json.dumps(answer, ensure_ascii=False, separators=(",", ":")).encode()


def head(*, request_id: str, model: str) -> dict[str, Any]:
    """What every message begins with, whole or streamed."""
    return {"id": f"msg_{request_id}", "type": "message", "role": "assistant", "model": model}


def stopped(choice: Mapping[str, Any], *, called: bool) -> dict[str, Any]:
    """Why the model stopped, and at which of the stop sequences. called: whether it called a tool.

    An engine says `stop` for both of its ends; a text in its `stop_reason` is the sequence that it met.
    """
    reason = STOPS.get(choice.get("finish_reason") or "stop", "end_turn")
    met = choice.get("stop_reason")
    if reason == "end_turn" and isinstance(met, str):
        return {"stop_reason": "stop_sequence", "stop_sequence": met}
    if reason == "end_turn" and called:
        reason = "tool_use"
    return {"stop_reason": reason, "stop_sequence": None}


def usage(given: Mapping[str, int] | None) -> dict[str, int]:
    """Tokens read and written. What an engine kept of an earlier prompt is not told apart: it costs nothing."""
    return {
        "input_tokens": (given or {}).get("prompt_tokens", 0),
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": 0,
        "output_tokens": (given or {}).get("completion_tokens", 0),
    }


def _tool_use(call: Mapping[str, Any]) -> dict[str, Any]:
    function = call["function"]
    return {"type": "tool_use", "id": call["id"], "name": function["name"], "input": _input(function)}


def _input(function: Mapping[str, Any]) -> dict[str, Any]:
    """A call's arguments; of those that the token limit cut off, what is there."""
    try:
        given = from_json(function["arguments"] or "{}", allow_partial=True)
    except ValueError:
        given = None
    if not isinstance(given, dict):
        raise EngineFailure(f"The model called {function['name']} with an input that is no JSON object")
    return given
