"""From a response's request to a chat completion's: items become messages, and errors name what was sent."""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from pydantic_core import to_json

from cluster.documents import Passage
from cluster.errors import BadRequest, HeliostatError, UnsupportedParameter
from deployments.gateway.openai.responses.items import Stored
from deployments.gateway.openai.responses.wire import (
    LOGPROBS,
    FileSearchTool,
    FunctionTool,
    ResponseRequest,
    TextFormat,
)
from pipelines.documents import grounding

MESSAGE_PATH = re.compile(r"messages[.\[]([0-9]+)\]?(.*)", re.DOTALL)
CHOICES = ("none", "auto", "required")
UNREAD = frozenset({"reasoning", "file_search_call"})  # what another model thought; what was found for an answer
CHAT_NAMES = {
    "max_completion_tokens": "max_output_tokens",
    "max_tokens": "max_output_tokens",
    "response_format": "text.format",
    "logprobs": "include",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class PlacedItem:
    """An item of the conversation. place: where the request has it, as an error's `param` names it."""

    item: Stored
    place: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatBody:
    """A `chat.completion` request as JSON. places: where each of its messages comes from."""

    content: bytes
    places: tuple[str, ...]


def check(request: ResponseRequest) -> None:
    """Raise BadRequest or UnsupportedParameter, with `param`, for fields that do not go together."""
    if request.stream_options is not None and not request.stream:
        raise BadRequest("stream_options is only for streams", hint="set stream to true", param="stream_options")
    if request.background and request.stream:
        hint = "leave one of them out, and read the response with GET until it is done"
        raise UnsupportedParameter("A background response is not streamed here", hint=hint, param="background")
    if request.background and not request.stored:
        raise BadRequest("A background response must be stored", hint="leave store out", param="store")
    if request.top_logprobs and not request.logprobs:
        hint = f"include: [{LOGPROBS!r}]"
        raise BadRequest("top_logprobs is only for responses with logprobs", hint=hint, param="top_logprobs")
    if request.text is not None and request.text.format is not None:
        _check_format(request.text.format)
    if sum(isinstance(tool, FileSearchTool) for tool in request.tools or ()) > 1:
        hint = "one names all the stores"
        raise BadRequest("tools: there is more than one file_search", hint=hint, param="tools")
    _check_choice(request)


def question_of(conversation: Sequence[PlacedItem]) -> str:
    """What was asked last. Raises BadRequest where nobody says anything that could be searched for."""
    for placed in reversed(conversation):
        if placed.item["type"] == "message" and placed.item["role"] == "user":
            text = _said(placed.item["content"])
            if text.strip():
                return text
            break
    raise BadRequest("There is no question to search files for", hint="send a user's text", param="input")


def chat_body(
    request: ResponseRequest, conversation: Sequence[PlacedItem], passages: Sequence[Passage] = ()
) -> ChatBody:
    """The chat completion that answers. conversation: all its items. passages: put before the last question.

    Raises BadRequest with `param`.
    """
    messages, places = _messages(request.instructions, conversation)
    if passages:
        _ground(messages, passages)
    fields: dict[str, Any] = {"model": request.model, "messages": messages}
    optional = {
        "max_completion_tokens": request.max_output_tokens,
        "temperature": request.temperature,
        "top_p": request.top_p,
        "user": request.user,
    }
    fields |= {name: value for name, value in optional.items() if value is not None}
    if request.stream:
        fields |= {"stream": True, "stream_options": {"include_usage": True}}
    if request.logprobs:
        fields |= {"logprobs": True, "top_logprobs": request.top_logprobs or 0}
    if request.text is not None and request.text.format is not None and request.text.format.type != "text":
        fields["response_format"] = _format(request.text.format)
    if functions := request.functions:
        fields |= _tools(request, functions)
    return ChatBody(content=to_json(fields), places=tuple(places))


@contextmanager
def as_sent(body: ChatBody) -> Iterator[None]:
    """Errors that name a field of the chat completion name the one of the response's request instead."""
    try:
        yield
    except HeliostatError as error:
        param = _renamed(error.param, body.places)
        if param == error.param or error.param is None:
            raise
        told = error.message.replace(error.param, param or "")
        raise type(error)(told, hint=error.hint, param=param, retry_after_s=error.retry_after_s) from error


def _renamed(param: str | None, places: Sequence[str]) -> str | None:
    if param is None:
        return None
    if param == "messages":
        return "input"
    if found := MESSAGE_PATH.fullmatch(param):
        number = int(found[1])
        place = places[number] if number < len(places) else "input"
        return f"{place}{found[2]}" if place.startswith("input[") else place
    for chat, ours in CHAT_NAMES.items():
        if param == chat or param.startswith((f"{chat}.", f"{chat}[")):
            return ours + param.removeprefix(chat)
    return param.replace(".function.", ".", 1) if param.startswith("tools[") else param


def _messages(
    instructions: str | None, conversation: Sequence[PlacedItem]
) -> tuple[list[dict[str, Any]], list[str]]:
    """Chat messages, and where each comes from. Calls join the assistant's message that they followed."""
    messages: list[dict[str, Any]] = []
    places: list[str] = []
    called: set[str] = set()
    if instructions:
        messages.append({"role": "system", "content": instructions})
        places.append("instructions")
    for placed in conversation:
        item, place = placed.item, placed.place
        if item["type"] in UNREAD:
            continue  # OpenAI asks clients to send it back, and no model here reads it
        if item["type"] == "function_call":
            called.add(item["call_id"])
            if messages and messages[-1]["role"] == "assistant":
                messages[-1].setdefault("tool_calls", []).append(_call(item))
                continue
            message = {"role": "assistant", "content": None, "tool_calls": [_call(item)]}
        elif item["type"] == "function_call_output":
            if item["call_id"] not in called:
                param = f"{place}.call_id" if place.startswith("input[") else place
                shown = item["call_id"][:64]
                raise BadRequest(f"No function call has the call_id {shown!r}", hint="send it before", param=param)
            message = {"role": "tool", "tool_call_id": item["call_id"], "content": _text_of(item["output"])}
        else:
            message = {"role": item["role"], "content": _content(item["content"])}
        messages.append(message)
        places.append(place)
    if not messages:
        raise BadRequest("input holds nothing that a model reads", hint="send a message", param="input")
    return messages, places


def _ground(messages: Sequence[dict[str, Any]], passages: Sequence[Passage]) -> None:
    """Put passages before the last thing that the user says."""
    last = next(message for message in reversed(messages) if message["role"] == "user")
    content = last["content"]
    if isinstance(content, str):
        last["content"] = grounding.message(passages, content)
        return
    texts = [part["text"] for part in content if part["type"] == "text"]
    asked = {"type": "text", "text": grounding.message(passages, " ".join(texts))}
    last["content"] = [*(part for part in content if part["type"] != "text"), asked]


def _said(parts: Sequence[Stored]) -> str:
    return " ".join(part["text"] for part in parts if part["type"] == "input_text")


def _content(parts: Sequence[Stored]) -> str | list[dict[str, Any]]:
    written = [_part(part) for part in parts]
    if len(written) == 1 and written[0]["type"] == "text":
        text: str = written[0]["text"]
        return text
    return written


def _part(part: Stored) -> dict[str, Any]:
    if part["type"] == "input_image":
        return {"type": "image_url", "image_url": {"url": part["image_url"], "detail": part["detail"]}}
    # A refusal is what the assistant said; templates have no other word for it.
    return {"type": "text", "text": part["refusal"] if part["type"] == "refusal" else part["text"]}


def _text_of(output: str | Sequence[Stored]) -> str:
    return output if isinstance(output, str) else "".join(part["text"] for part in output)


def _call(item: Stored) -> dict[str, Any]:
    function = {"name": item["name"], "arguments": item["arguments"]}
    return {"id": item["call_id"], "type": "function", "function": function}


def _tools(request: ResponseRequest, tools: Sequence[FunctionTool]) -> dict[str, Any]:
    functions = [tool.model_dump(exclude_none=True, exclude={"type"}) for tool in tools]
    fields: dict[str, Any] = {"tools": [{"type": "function", "function": function} for function in functions]}
    choice = request.tool_choice
    if isinstance(choice, dict) and choice["type"] == "function":
        fields["tool_choice"] = {"type": "function", "function": {"name": choice["name"]}}
    elif isinstance(choice, str) and not (choice == "required" and request.searches):  # the search is its call
        fields["tool_choice"] = choice
    if request.parallel_tool_calls is not None:
        fields["parallel_tool_calls"] = request.parallel_tool_calls
    return fields


def _format(wanted: TextFormat) -> dict[str, Any]:
    if wanted.type == "json_object":
        return {"type": "json_object"}
    schema = {
        "name": wanted.name,
        "description": wanted.description,
        "schema": wanted.json_schema,
        "strict": wanted.strict,
    }
    given = {name: value for name, value in schema.items() if value is not None}
    return {"type": "json_schema", "json_schema": given}


def _check_format(wanted: TextFormat) -> None:
    schema = {"name": wanted.name, "schema": wanted.json_schema}
    for name, value in schema.items():
        param = f"text.format.{name}"
        if wanted.type == "json_schema" and value is None:
            raise BadRequest(f"Missing required parameter: {param}", param=param)
    extra = {**schema, "description": wanted.description, "strict": wanted.strict}
    sent = next((name for name, value in extra.items() if value is not None), None)
    if wanted.type != "json_schema" and sent is not None:
        param = f"text.format.{sent}"
        raise BadRequest(f"{param} is only for json_schema", hint="remove it", param=param)


def _check_choice(request: ResponseRequest) -> None:
    choice = request.tool_choice
    if choice is None:
        return
    hint = f"{', '.join(CHOICES)}, or {{'type': 'function', 'name': …}}"
    if choice == {"type": "file_search"}:
        if not request.searches:
            raise BadRequest("tool_choice: no tool searches files", hint="send it in tools", param="tool_choice")
    elif isinstance(choice, dict):
        known = set(choice) == {"type", "name"} and choice["type"] == "function"
        if not known or not isinstance(choice["name"], str):
            raise UnsupportedParameter("This tool_choice is not known here", hint=hint, param="tool_choice")
        if choice["name"] not in {tool.name for tool in request.functions}:
            shown = choice["name"][:64]
            raise BadRequest(
                f"tool_choice: no tool is called {shown!r}", hint="send it in tools", param="tool_choice"
            )
    elif choice not in CHOICES:
        raise BadRequest(f"tool_choice: {choice[:40]!r} is not known here", hint=hint, param="tool_choice")
    elif choice == "required" and not request.tools:
        raise BadRequest("tool_choice: there is no tool to call", hint="send tools", param="tool_choice")
