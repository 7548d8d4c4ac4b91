"""Our calls as requests to llama.cpp's server, and its errors as ours."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cluster.engines import strict_tools
from cluster.engines.chat_request import GENERATION, check_known, read_object, validated
from cluster.engines.json_spacing import spaced
from cluster.engines.llama_cpp_wire import ANYTHING, Function, LlamaChat, LlamaCompletion, LlamaSampling
from cluster.engines.plain_text import PlainText
from cluster.engines.raw_prompts import COMPLETION, check_raw
from cluster.engines.schema_limits import check_response_format, check_tools
from cluster.engines.template_options import check_options
from cluster.engines.vllm_request import check_messages
from cluster.errors import (
    BadRequest,
    ContextTooLong,
    EngineFailure,
    HeliostatError,
    Overloaded,
    UnsupportedParameter,
)

TOOLS = frozenset({"tools", "tool_choice", "parallel_tool_calls"})
MESSAGE_FIELDS = {"role", "content", "name", "refusal", "tool_calls", "tool_call_id"}
ORDER = ("penalties", "temperature", "min_p", "top_k", "top_p")  # vLLM's, not llama.cpp's own
SEEDS = 2**31 - 1  # as many as every version of llama.cpp tells apart
MAX_TOOL_BYTES = 8 * 1024  # of one tool's schema
# What llama.cpp's own grammars hold a call to; other keywords they pass over.
HELD = frozenset(
    {
        "type", "properties", "required", "additionalProperties", "items", "enum", "const", "anyOf", "$ref",
        "$defs", "definitions", "minItems", "maxItems", "minimum", "maximum", "minLength", "maxLength", "title",
        "description",
    }
)  # fmt: skip
NAMED = {"properties", "$defs", "definitions", "patternProperties"}  # their keys are names
LISTED = {"enum", "const", "required", "default", "examples"}  # their values are no schemas
GRAMMAR_WORDS = ("grammar", "schema", "samplers", "pattern", "regex")
CONTEXT_KIND = "exceed_context_size_error"


APART = frozenset({"messages", "chat_template_kwargs"})
SAMPLED = frozenset(LlamaSampling.model_fields) - GENERATION
CHAT = (frozenset(LlamaChat.model_fields) | APART) - TOOLS
HONOURED_RAW = COMPLETION | SAMPLED


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatAsked:
    """A chat request. said: its part of the body that decides the prompt. wanted: the rest."""

    request: LlamaChat
    said: dict[str, Any]

    @property
    def figures(self) -> int | None:
        """How many likeliest tokens go with each, None where no log probabilities are wanted."""
        return (self.request.top_logprobs or 0) if self.request.logprobs else None

    @property
    def grammar(self) -> str | None:
        """What the answer must follow, in llguidance's form: llama.cpp's own grammars pass over what they lack."""
        wanted = self.request.response_format
        if wanted is None or wanted.type == "text":
            return None
        schema = wanted.json_schema.schema_ if wanted.json_schema else ANYTHING
        return f"%llguidance {{}}\nstart: %json {json.dumps(spaced(schema))}"

    @property
    def call_grammar(self) -> str | None:
        """The same for a call that must be made, in the form of strict_tools; None where none must.

        The marks are written as texts: to llama.cpp's llguidance they are no special tokens.
        """
        if self.said.get("tool_choice") != "required":
            return None
        lark = strict_tools.call_of(self.said["tools"], several=self.said["parallel_tool_calls"])["grammar"]
        for mark in (strict_tools.START, strict_tools.END):  # first named by the rule of a call
            lark = lark.replace(mark, json.dumps(mark), 1)
        return lark

    @property
    def constrained(self) -> str | None:
        """The parameter that holds a schema, None where none does."""
        return "response_format" if self.grammar else "tools" if self.request.tools else None


def read_chat(body: bytes, known: frozenset[str], *, plain: PlainText, options: frozenset[str]) -> ChatAsked:
    """A chat request. known: the parameters that this model honours. plain, options: of its template.

    Raises BadRequest and UnsupportedParameter with the JSON path.
    """
    given = {name: value for name, value in read_object(body).items() if value is not None}
    check_known(given, known)
    check_response_format(given.get("response_format"))
    check_tools(given.get("tools"))
    check_options(given.get("chat_template_kwargs"), options)
    messages, chosen = given.pop("messages", None), given.pop("chat_template_kwargs", None)
    request = validated(LlamaChat, given)
    _check_together(request)
    said = {"messages": read_messages(messages, plain)}
    if chosen is not None:
        said["chat_template_kwargs"] = chosen
    return ChatAsked(request=request, said=said | _tools(request))


def read_messages(messages: Any, plain: PlainText) -> list[Any]:
    """Messages as llama.cpp takes them. Raises BadRequest and UnsupportedParameter with the JSON path."""
    check_messages(messages, images=False)
    for number, message in enumerate(messages):
        unknown = sorted(name for name in message.keys() - MESSAGE_FIELDS if message[name] is not None)
        if unknown:
            param = f"messages.{number}.{unknown[0][:60]}"
            raise UnsupportedParameter(f"This model does not read {param}", hint="leave it out", param=param)
    return [_message(message) for message in plain.messages(messages)]


def read_raw(body: bytes) -> LlamaCompletion:
    """A request for raw completions. Raises BadRequest and UnsupportedParameter with the JSON path."""
    given = {name: value for name, value in read_object(body).items() if value is not None}
    check_known(given, HONOURED_RAW)
    check_raw(given)
    return validated(LlamaCompletion, given)


def sampled(
    request: LlamaSampling, otherwise: Mapping[str, Any], *, choice: int, limit: int, context: int, vocabulary: int
) -> dict[str, Any]:
    """How llama.cpp samples one choice, everything said. otherwise: figures where the request says nothing.

    limit: tokens at most. Raises BadRequest for a bias on what is no token.
    """
    figures = {
        name: otherwise[name] if getattr(request, name) is None else getattr(request, name)
        for name in ("temperature", "top_p", "top_k", "min_p", "repetition_penalty")
    }
    body = {
        "temperature": figures["temperature"],
        "top_p": figures["top_p"],
        "top_k": max(figures["top_k"], 0),
        "min_p": figures["min_p"],
        "repeat_penalty": figures["repetition_penalty"],
        "repeat_last_n": context,
        "frequency_penalty": request.frequency_penalty or 0.0,
        "presence_penalty": request.presence_penalty or 0.0,
        "samplers": list(ORDER),
        "ignore_eos": request.ignore_eos,
        "n_predict": limit,
        "stream": True,
        "timings_per_token": True,
        "return_progress": True,  # an event for each step of a prompt: where a call that was left is noticed
    }
    if request.seed is not None:
        body["seed"] = (request.seed + choice) % SEEDS
    if request.logit_bias:
        body["logit_bias"] = [[_token(name, vocabulary), bias] for name, bias in request.logit_bias.items()]
    return body


def formatted(asked: ChatAsked) -> dict[str, Any]:
    """What constrains the answer and what is told of it, beside the sampling."""
    body: dict[str, Any] = {} if asked.grammar is None else {"grammar": asked.grammar}
    if asked.figures is not None:
        body |= {"logprobs": True, "top_logprobs": max(asked.figures, 1)}
    return body


def check_grammar(grammar: str, param: str = "response_format") -> None:
    """Raise BadRequest for a grammar that cannot be followed, which llama.cpp would pass over; blocks."""
    from llguidance import LLMatcher

    reason = " ".join(str(LLMatcher.validate_grammar(grammar)).partition("\n")[0].split())
    if reason:
        said = reason.partition("failed to compile JSON schema: ")[2] or reason
        hint = "use a simpler one"
        raise BadRequest(f"The schema cannot be followed: {said[:300]}", hint=hint, param=param)


def error_of(answer: Any, *, constrained: str | None = None, templated: bool = False) -> HeliostatError:
    """One of llama.cpp's errors as ours. constrained: the parameter that holds a grammar, None where none does.

    templated: whether it was only asked for a prompt.
    """
    info = answer.get("error") if isinstance(answer, Mapping) else None
    found = info if isinstance(info, Mapping) else {}
    message = " ".join(str(found.get("message") or "llama.cpp failed").split())[:500]
    code = found.get("code")
    status = code if isinstance(code, int) else 500
    if found.get("type") == CONTEXT_KIND:
        return ContextTooLong(message, hint="shorten the messages or lower max_tokens", param="messages")
    if constrained is not None and any(word in message.lower() for word in GRAMMAR_WORDS):
        return BadRequest(f"The schema cannot be followed: {message}", hint="use a simpler one", param=constrained)
    if templated:
        hint = "other roles, or another order of them"
        return BadRequest(f"The chat template refuses: {message}", hint=hint, param="messages")
    if status == 503:
        return Overloaded(message, retry_after_s=1.0)
    return EngineFailure(message) if status >= 500 else BadRequest(message)


def _check_together(request: LlamaChat) -> None:
    if request.top_logprobs is not None and not request.logprobs:
        raise BadRequest("top_logprobs goes with logprobs: true", param="top_logprobs")
    wanted = request.response_format
    if wanted is not None and wanted.type == "json_schema" and wanted.json_schema is None:
        param = "response_format.json_schema"
        raise BadRequest(f"{param}: missing", hint="a name and a schema", param=param)
    names = [tool.function.name for tool in request.tools or ()]
    if request.tool_choice not in (None, "none", "auto") and not names:
        raise BadRequest("tool_choice goes with tools", hint="send tools", param="tool_choice")
    if request.named is not None and request.named not in names:
        raise BadRequest(f"tool_choice: no tool is called {request.named[:60]!r}", param="tool_choice")
    for at, tool in enumerate(request.tools or ()):
        _check_parameters(tool.function, f"tools[{at}].function.parameters")
    if not names or request.tool_choice == "none":
        return
    if wanted is not None and wanted.type != "text":
        hint = "send tool_choice: none, or no response_format"
        raise UnsupportedParameter("response_format goes without tools here", hint=hint, param="response_format")
    if request.logprobs:
        raise UnsupportedParameter("logprobs go without tools here", hint="leave one out", param="logprobs")


def _check_parameters(function: Function, param: str) -> None:
    """llama.cpp's own grammars hold calls to their schemas; a large one would hold up every sequence."""
    schema = function.parameters or {}
    size = len(json.dumps(schema))
    if size > MAX_TOOL_BYTES:
        hint = f"at most {MAX_TOOL_BYTES} with this engine"
        raise BadRequest(f"{param}: a schema of {size} bytes", hint=hint, param=param)
    unheld = sorted(_keywords(schema) - HELD)
    if "pattern" in unheld or (function.strict and unheld):
        what = "pattern" if "pattern" in unheld else unheld[0][:60]
        hint = f"held: {', '.join(sorted(HELD))}"
        raise UnsupportedParameter(f"{param}: a call is not held to {what!r} here", hint=hint, param=param)


def _keywords(schema: Any) -> set[str]:
    """All keywords in a schema. Names of properties are none, nor is what is listed."""
    found: set[str] = set()
    waiting = [schema]
    while waiting:
        node = waiting.pop()
        if isinstance(node, list):
            waiting += node
        elif isinstance(node, dict):
            found |= node.keys()
            for name, value in node.items():
                named = name in NAMED and isinstance(value, dict)
                waiting += list(value.values()) if named else [] if name in LISTED else [value]
    return found


def _tools(request: LlamaChat) -> dict[str, Any]:
    if not request.tools:
        return {}
    tools = [tool.model_dump(exclude_none=True) for tool in request.tools]
    choice: Any = request.tool_choice or "auto"
    if request.named is not None:
        tools, choice = [tool for tool in tools if tool["function"]["name"] == request.named], "required"
    several = request.named is None and request.parallel_tool_calls is not False
    return {"tools": tools, "tool_choice": choice, "parallel_tool_calls": several}


def _message(message: Any) -> dict[str, Any]:
    """What is null is left out, and a refusal is text."""
    made = {name: value for name, value in message.items() if value is not None and name != "refusal"}
    content = made.get("content")
    if isinstance(content, list):
        made["content"] = [{"type": "text", "text": _said(part)} for part in content]
    elif content is None:
        made["content"] = message.get("refusal") or ""
    return made


def _said(part: Mapping[str, Any]) -> str:
    text = part.get(part["type"])
    if not isinstance(text, str):
        raise BadRequest("messages: a part of a content has no text", param="messages")
    return text


def _token(name: str, vocabulary: int) -> int:
    if not name.isdecimal() or not 0 <= int(name) < vocabulary:
        hint = f"token ids from 0 to {vocabulary - 1}"
        raise BadRequest(f"logit_bias: {name[:40]!r} is no token of this model", hint=hint, param="logit_bias")
    return int(name)
