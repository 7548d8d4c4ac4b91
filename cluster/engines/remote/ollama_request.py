"""OpenAI's chat requests as Ollama's `/api/chat` wants them; what it cannot do is refused by name. Pure."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import Field

from cluster.engines.chat_request import Generation, validated
from cluster.engines.remote.ollama_model import OllamaModel
from cluster.engines.schema_limits import check_response_format, check_tools
from cluster.errors import BadRequest, ContextTooLong, UnsupportedParameter
from cluster.settings.remote import OllamaSettings

TOOLS = frozenset({"tools", "tool_choice", "parallel_tool_calls"})
SEEDS = 2**31  # Ollama takes a negative one for none
MAX_TOP = 20
NO_ARGUMENTS = {"type": "object", "properties": {}}


class OllamaRequest(Generation):
    """The sampling that Ollama honours."""

    frequency_penalty: float | None = Field(None, ge=-2, le=2)
    presence_penalty: float | None = Field(None, ge=-2, le=2)
    top_k: int | None = Field(None, ge=-1, lt=2**31, description="-1 and 0 are all tokens")
    min_p: float | None = Field(None, ge=0, le=1)
    repetition_penalty: float | None = Field(None, gt=0, le=10)
    logprobs: bool | None = None
    top_logprobs: int | None = Field(None, ge=0, le=MAX_TOP)


SAMPLED = frozenset(OllamaRequest.model_fields)
PARAMETERS = SAMPLED | TOOLS | {"messages", "response_format"}
NAMES = {  # theirs, of ours
    "temperature": "temperature",
    "top_p": "top_p",
    "min_p": "min_p",
    "frequency_penalty": "frequency_penalty",
    "presence_penalty": "presence_penalty",
    "repetition_penalty": "repeat_penalty",
}


def sampled(given: Mapping[str, Any]) -> OllamaRequest:
    """The sampling of a request. Raises BadRequest with the JSON path."""
    return validated(OllamaRequest, {name: value for name, value in given.items() if name in SAMPLED})


def body_of(
    given: Mapping[str, Any],
    request: OllamaRequest,
    *,
    settings: OllamaSettings,
    known: OllamaModel,
    context_length: int,
    choice: int = 0,
) -> dict[str, Any]:
    """The body of `/api/chat` for one choice. given: a checked request, its pictures read.

    A prompt that does not fit the context is refused there, not cut (`truncate`, `shift`); an answer that does not
    ends with reason `length`. Choices of one seed differ, and repeat.
    """
    if request.limit is not None and request.limit >= context_length:
        raise ContextTooLong(
            f"This model's maximum context length is {context_length} tokens. However, you requested "
            f"{request.limit} tokens in the completion alone. Please reduce the length of the completion.",
            param="messages",
        )
    body: dict[str, Any] = {
        "model": settings.model,
        "messages": messages_of(given["messages"]),
        "stream": True,
        "truncate": False,
        "shift": False,
        "options": _options(request, settings, known, context_length, choice),
    }
    if settings.keep_alive is not None:
        body["keep_alive"] = settings.keep_alive
    if known.capabilities is not None and known.can("thinking"):
        body["think"] = settings.think
    if (wanted := format_of(given.get("response_format"))) is not None:
        body["format"] = wanted
    if tools := tools_of(given):
        body["tools"] = tools
    if request.logprobs:
        body |= {"logprobs": True, "top_logprobs": request.top_logprobs or 0}
    return body


def _options(
    request: OllamaRequest, settings: OllamaSettings, known: OllamaModel, context_length: int, choice: int
) -> dict[str, Any]:
    """What the request says, else the config; where both are silent the model's Modelfile speaks."""
    options: dict[str, Any] = {**settings.options, "num_ctx": context_length}
    for ours, theirs in NAMES.items():
        if (value := getattr(request, ours)) is not None:
            options[theirs] = value
    if request.top_k is not None:
        options["top_k"] = max(request.top_k, 0)
    if request.seed is not None:
        options["seed"] = (request.seed + choice) % SEEDS
    if request.limit is not None:
        options["num_predict"] = request.limit
    if request.stops:
        options["stop"] = [*known.stops, *request.stops]  # or they would replace the marks that end its turns
    return options


def format_of(given: Any) -> str | dict[str, Any] | None:
    """A `response_format` as Ollama's: `json`, a schema, or nothing. Raises BadRequest with the JSON path."""
    if given is None:
        return None
    check_response_format(given)
    kind = given.get("type") if isinstance(given, dict) else None
    if kind == "text":
        return None
    if kind == "json_object":
        return "json"
    holder = given.get("json_schema") if kind == "json_schema" else None
    schema = holder.get("schema") if isinstance(holder, dict) else None
    if not isinstance(schema, dict):
        where = "response_format" if kind != "json_schema" else "response_format.json_schema.schema"
        raise BadRequest(
            f"{where}: missing, or not understood", hint="text, json_object or json_schema", param=where
        )
    return schema


def tools_of(given: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The tools that the model is told of. Raises for a choice among them, which Ollama leaves to the model."""
    tools, choice = given.get("tools"), given.get("tool_choice")
    if choice not in (None, "auto", "none"):
        raise UnsupportedParameter(
            "tool_choice: the model chooses by itself here", hint="send auto or none", param="tool_choice"
        )
    if given.get("parallel_tool_calls") is False:
        raise UnsupportedParameter(
            "parallel_tool_calls: nothing keeps the model from several calls", param="parallel_tool_calls"
        )
    if tools is None or choice == "none":
        return []
    if not isinstance(tools, list):
        raise BadRequest("tools: not a list", param="tools")
    check_tools(tools)
    return [_tool(tool, f"tools[{at}]") for at, tool in enumerate(tools)]


def _tool(tool: Any, where: str) -> dict[str, Any]:
    function = tool.get("function") if isinstance(tool, dict) and tool.get("type") == "function" else None
    if not isinstance(function, dict) or not isinstance(function.get("name"), str) or not function["name"]:
        raise BadRequest(f"{where}: not a function with a name", param=where)
    if function.get("strict"):
        param = f"{where}.function.strict"
        raise UnsupportedParameter(f"{param}: calls are not held to their schema here", param=param)
    made = {name: function[name] for name in ("name", "description", "parameters") if function.get(name)}
    return {"type": "function", "function": {"parameters": NO_ARGUMENTS, **made}}


def messages_of(messages: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The messages as Ollama's. Raises BadRequest and UnsupportedParameter with the JSON path."""
    called: dict[str, str] = {}  # the names of the functions, by the ids of their calls
    return [_message(message, f"messages.{at}", called) for at, message in enumerate(messages)]


def _message(message: Mapping[str, Any], where: str, called: dict[str, str]) -> dict[str, Any]:
    for name in ("name", "refusal"):
        if message.get(name) is not None:
            param = f"{where}.{name}"
            raise UnsupportedParameter(f"{param}: Ollama has no place for it", hint="leave it out", param=param)
    role, (text, images) = message["role"], _content(message.get("content"), f"{where}.content")
    made: dict[str, Any] = {"role": "system" if role == "developer" else role, "content": text}
    if images:
        made["images"] = images
    if message.get("tool_calls"):
        made["tool_calls"] = _calls(message["tool_calls"], f"{where}.tool_calls", called)
    if role == "tool":
        tool = called.get(str(message.get("tool_call_id")))
        if tool is None:
            param = f"{where}.tool_call_id"
            raise BadRequest(f"{param}: no message before it made that call", param=param)
        made["tool_name"] = tool
    return made


def _content(content: Any, where: str) -> tuple[str, list[str]]:
    """The text, and the pictures in base64."""
    if content is None or isinstance(content, str):
        return content or "", []
    if not isinstance(content, list):
        raise BadRequest(f"{where}: neither text nor a list of parts", param=where)
    texts, images = [], []
    for at, part in enumerate(content):
        if part["type"] == "image_url":
            images.append(part["image_url"]["url"].partition(",")[2])
        elif isinstance(part.get("text"), str):
            texts.append(part["text"])
        else:
            raise BadRequest(f"{where}.{at}.text: missing", param=f"{where}.{at}.text")
    return "".join(texts), images


def _calls(calls: Any, where: str, called: dict[str, str]) -> list[dict[str, Any]]:
    made = []
    for at, call in enumerate(calls if isinstance(calls, list) else ()):
        function = call.get("function") if isinstance(call, dict) else None
        name = function.get("name") if isinstance(function, dict) else None
        if not isinstance(function, dict) or not isinstance(name, str):
            raise BadRequest(f"{where}.{at}: not a call of a function", param=f"{where}.{at}")
        param = f"{where}.{at}.function.arguments"
        try:
            arguments = json.loads(function.get("arguments") or "{}")
        except (ValueError, TypeError, RecursionError):
            arguments = None
        if not isinstance(arguments, dict):
            raise BadRequest(f"{param}: not a JSON object", param=param)
        called[str(call.get("id"))] = name
        made.append({"function": {"name": name, "arguments": arguments}})
    return made
