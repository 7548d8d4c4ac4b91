"""From a chat completion's answer to the response object, in OpenAI's published shape.

A response is a plain JSON object all its life: made by `begun`, ended by `finished` or `failed`, stored as it is.
"""

import time
from collections.abc import Mapping, Sequence
from typing import Any

from cluster.errors import EngineFailure, HeliostatError
from deployments.gateway.openai.responses.file_search import Searched
from deployments.gateway.openai.responses.items import Stored, item_id
from deployments.gateway.openai.responses.wire import FileSearchTool, FunctionTool, ResponseRequest

IN_PROGRESS, COMPLETED, INCOMPLETE = "in_progress", "completed", "incomplete"
FAILED, CANCELLED = "failed", "cancelled"
CUT_SHORT = {"length": "max_output_tokens", "content_filter": "content_filter"}
BROKEN_OFF = (None, "abort", "error")  # what vLLM says of an answer that it gave up

Body = dict[str, Any]
"""A response object."""


def begun(request: ResponseRequest, response_id: str) -> Body:
    """A response in progress, with all that its request asked for. What it left to the model is null."""
    text = request.text.format if request.text is not None else None
    written = {"type": "text"} if text is None else text.model_dump(by_alias=True, exclude_none=True)
    parallel = request.parallel_tool_calls
    return {
        "id": response_id,
        "object": "response",
        "created_at": int(time.time()),
        "status": IN_PROGRESS,
        "background": bool(request.background),
        "completed_at": None,
        "error": None,
        "incomplete_details": None,
        "instructions": request.instructions,
        "max_output_tokens": request.max_output_tokens,
        "max_tool_calls": None,
        "metadata": request.metadata or {},
        "model": request.model,
        "output": [],
        "parallel_tool_calls": True if parallel is None else parallel,
        "previous_response_id": request.previous_response_id,
        "reasoning": {"effort": None, "summary": None},
        "safety_identifier": request.safety_identifier,
        "service_tier": "default",
        "store": request.stored,
        "temperature": request.temperature,
        "text": {"format": written},
        "tool_choice": request.tool_choice or "auto",
        "tools": [_tool(tool) for tool in request.tools or ()],
        "top_logprobs": request.top_logprobs or 0,
        "top_p": request.top_p,
        "truncation": "disabled",
        "usage": None,
        "user": request.user,
    }


def answered(body: Body, answer: Mapping[str, Any], first_place: int, *, searched: Searched | None = None) -> Body:
    """The response that a whole `chat.completion` makes. first_place: of its first output item, for the items' ids.

    searched: what was found for it before. Raises EngineFailure for an answer that was not ended.
    """
    choice = answer["choices"][0]
    message = choice["message"]
    calls = message.get("tool_calls") or ()
    output: list[Stored] = []
    if searched is not None:
        output.append(searched.item(item_id("file_search_call", body["id"], first_place)))
    if message.get("content") or not calls:
        identity = item_id("message", body["id"], first_place + len(output))
        text = message.get("content") or ""
        annotations = searched.annotations(text) if searched is not None else []
        part = text_part(text, tokens_of(choice), annotations)
        output.append(text_item(identity, COMPLETED, [part]))
    for call in calls:
        identity = item_id("function_call", body["id"], first_place + len(output))
        function = call["function"]
        item = call_item(identity, COMPLETED, call["id"], function["name"])
        output.append({**item, "arguments": function["arguments"]})
    body = {**body, "model": answer.get("model") or body["model"]}  # a fallback may have answered
    return finished(body, output, choice["finish_reason"], answer.get("usage"))


def finished(body: Body, output: Sequence[Stored], reason: str | None, usage: Mapping[str, Any] | None) -> Body:
    """The response at its end. reason: chat's finish reason. Raises EngineFailure for one that was given up."""
    check_ended(reason)
    items = list(output)
    cut = CUT_SHORT.get(reason or "")
    if cut is not None and items:
        items[-1] = {**items[-1], "status": INCOMPLETE}
    return {
        **body,
        "status": INCOMPLETE if cut else COMPLETED,
        "completed_at": None if cut else int(time.time()),
        "incomplete_details": {"reason": cut} if cut else None,
        "output": items,
        "usage": usage_of(usage),
    }


def check_ended(reason: str | None) -> None:
    """Raise EngineFailure for the finish reason of an answer that was given up; None is of a stream that broke."""
    if reason in BROKEN_OFF:
        raise EngineFailure("The answer ended before it was whole", hint="send the request again")


def failed(body: Body, error: HeliostatError, output: Sequence[Stored] = ()) -> Body:
    """The response that an error ended. output: what had been written by then."""
    # OpenAI's list of codes is closed: what is not a rate limit is the server's.
    code = error.code if error.code == "rate_limit_exceeded" else "server_error"
    told = {"code": code, "message": error.line()}
    return {**body, "status": FAILED, "error": told, "output": list(output)}


def cancelled(body: Body, output: Sequence[Stored] = ()) -> Body:
    """The response that nobody wants any more. output: what had been written by then."""
    return {**body, "status": CANCELLED, "output": list(output)}


def text_item(identity: str, status: str, parts: Sequence[Stored]) -> Stored:
    """An output item of text."""
    return {"id": identity, "type": "message", "status": status, "role": "assistant", "content": list(parts)}


def text_part(text: str, logprobs: Sequence[Mapping[str, Any]] = (), annotations: Sequence[Stored] = ()) -> Stored:
    """The content of an item of text."""
    return {"type": "output_text", "annotations": list(annotations), "logprobs": list(logprobs), "text": text}


def call_item(identity: str, status: str, call_id: str, name: str) -> Stored:
    """An output item that calls a function, still without arguments."""
    return {
        "id": identity,
        "type": "function_call",
        "status": status,
        "arguments": "",
        "call_id": call_id,
        "name": name,
    }


def tokens_of(choice: Mapping[str, Any]) -> list[Stored]:
    """The log probabilities of a chat choice, or of a piece of it, in a response's shape."""
    logprobs = choice.get("logprobs")
    return [] if not logprobs else [_token(token) for token in logprobs.get("content") or ()]


def usage_of(usage: Mapping[str, Any] | None) -> Stored | None:
    """Chat's usage in a response's words."""
    if usage is None:
        return None
    details = usage.get("prompt_tokens_details") or {}
    spent, made = usage["prompt_tokens"], usage.get("completion_tokens") or 0
    return {
        "input_tokens": spent,
        "input_tokens_details": {"cached_tokens": details.get("cached_tokens") or 0, "cache_write_tokens": 0},
        "output_tokens": made,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": spent + made,
    }


def _tool(tool: FunctionTool | FileSearchTool) -> Stored:
    """A tool as a response repeats it."""
    if isinstance(tool, FunctionTool):
        return {
            "type": "function",
            "name": tool.name,
            "description": tool.description,
            "parameters": tool.parameters,
            "strict": bool(tool.strict),
        }
    options = tool.ranking_options
    return {
        "type": "file_search",
        "vector_store_ids": tool.vector_store_ids,
        "filters": tool.filters,
        "max_num_results": tool.max_num_results,
        "ranking_options": None if options is None else options.model_dump(exclude_none=True),
    }


def _token(token: Mapping[str, Any]) -> Stored:
    return {**_one(token), "top_logprobs": [_one(other) for other in token.get("top_logprobs") or ()]}


def _one(token: Mapping[str, Any]) -> Stored:
    written = token.get("bytes")
    own = token["token"].encode(errors="replace")
    return {
        "token": token["token"],
        "bytes": list(own) if written is None else written,
        "logprob": token["logprob"],
    }
