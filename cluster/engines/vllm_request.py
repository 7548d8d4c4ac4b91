"""Our calls as vLLM's requests, and vLLM's errors as ours."""

import re
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from cluster.engines import strict_tools
from cluster.engines.chat_request import GENERATION, LABELS, NOTHING, check_generation, check_known, read_object
from cluster.engines.images import has_pictures, read_aside, with_pictures
from cluster.engines.json_spacing import spaced_request
from cluster.engines.plain_text import PlainText
from cluster.engines.schema_limits import check_outputs, check_response_format, check_tools
from cluster.engines.template_options import check_options
from cluster.errors import (
    BadRequest,
    ContextTooLong,
    EngineFailure,
    HeliostatError,
    Overloaded,
    UnreadableImage,
    UnsupportedParameter,
)
from cluster.settings.limits import LimitSettings
from cluster.types import ChatCall, Priority

if TYPE_CHECKING:
    from vllm.entrypoints.openai.chat_completion.protocol import ChatCompletionRequest

# What vLLM honours for every model, beyond the parameters that each engine here does. Left out on purpose: what
# vLLM ignores, what belongs to the server (priority, cache salt, transfers), templates, beam search, bad_words,
# which lets many a word pass that has another number of tokens after a space, and prompt_logprobs, which hold a
# vocabulary's figures for every token of a prompt at once.
SAMPLING = frozenset(
    {
        "messages", "frequency_penalty", "presence_penalty", "logit_bias", "logprobs", "top_logprobs",
        "response_format", "structured_outputs", "top_k", "min_p", "repetition_penalty", "stop_token_ids",
        "include_stop_str_in_output", "ignore_eos", "min_tokens", "skip_special_tokens", "allowed_token_ids",
        "add_generation_prompt", "continue_final_message", "chat_template_kwargs",
        "spaces_between_special_tokens", "truncate_prompt_tokens", "truncation_side", "return_token_ids",
    }
)  # fmt: skip
TOOLS = frozenset({"tools", "tool_choice", "parallel_tool_calls"})
TEXT_PARTS = ("text", "refusal")
UNSAID = LABELS | NOTHING  # vLLM has no use for them
PRIORITIES = {Priority.INTERACTIVE: 0, Priority.BACKGROUND: 1}  # vLLM: lower goes first
DETAILS = re.compile(
    r" \(parameter=.*\)\Z", re.DOTALL
)  # vLLM's, at the end of a message; we give the parameter apart
GRAMMAR_WORDS = ("Grammar error: ", "You must use one kind of structured outputs", "Invalid JSON grammar")
CONTEXT_WORDS = (
    "maximum context length",
    "maximum model length",
    "longer than the maximum",
    "greater than max_model_len",
)
AS_IT_IS = PlainText()
NOT_DRAWN = 1e-5  # a temperature below it is 0 to vLLM
ROLES = ("system", "developer", "user", "assistant", "tool")


def honoured(*, tools: bool) -> frozenset[str]:
    """The parameters that a vLLM engine honours. tools: whether it can read the model's tool calls."""
    return GENERATION | SAMPLING | (TOOLS if tools else frozenset())


async def read_call(
    call: ChatCall,
    model: str,
    known: frozenset[str],
    *,
    pictures: LimitSettings | None,
    stream: bool,
    call_tokens: bool | None = None,
    plain: PlainText = AS_IT_IS,
    options: frozenset[str] = frozenset(),
) -> "tuple[ChatCompletionRequest, bool]":
    """The call's body as vLLM's request, and whether it names a tool that vLLM is told the model chose.

    pictures: the limits of a model that sees them, None for one of text. call_tokens: whether the marks of its
    tool calls are tokens of their own, None for a model whose calls are not held to schemas (strict_tools).
    plain: keeps the template's own marks out of what is said.
    options: what the template may be told (template_options).

    Raises BadRequest and UnsupportedParameter with the JSON path.
    """
    given = {name: value for name, value in read_object(call.body).items() if value is not None}
    check_known(given, known)
    check_generation(given)
    check_response_format(given.get("response_format"))
    check_outputs(given.get("structured_outputs"), given.get("response_format"))
    check_tools(given.get("tools"))
    check_options(given.get("chat_template_kwargs"), options)
    strict = strict_tools.wanted(given.get("tools"), given.get("tool_choice"))
    if strict and (call_tokens is None or constrained_already(given)):
        raise UnsupportedParameter(
            "tools: a call that the model chooses to make is not held to its schema here",
            hint="leave `strict` out, or force the call with tool_choice, without a response_format",
            param="tools",
        )
    given["messages"] = await read_messages(given.get("messages"), pictures, plain)
    request = _request(call, given, model, stream=stream)
    forced = strict_tools.forced(given.get("tools"), given.get("tool_choice"), tokens=call_tokens)
    if forced:
        # To vLLM it is the model's choice, so that its parser reads the call; the grammar leaves no other.
        request.tool_choice, request.response_format = "auto", None
        several = given.get("parallel_tool_calls") is not False and given["tool_choice"] == "required"
        _hold(request, strict_tools.call_of(forced, several=several))
    elif strict:
        _hold(request, strict_tools.outputs(given["tools"], tokens=bool(call_tokens)))
    return request, bool(forced) and given["tool_choice"] != "required"


async def read_messages(messages: Any, pictures: LimitSettings | None, plain: PlainText) -> Any:
    """Messages as vLLM takes them. Raises BadRequest and UnsupportedParameter with the JSON path."""
    check_messages(messages, images=pictures is not None)
    messages = plain.messages(messages)
    if pictures is not None and has_pictures(messages):
        return with_pictures(messages, await read_aside(messages, pictures))
    return messages


def _hold(request: "ChatCompletionRequest", outputs: dict[str, str]) -> None:
    from vllm.sampling_params import StructuredOutputsParams

    request.structured_outputs = StructuredOutputsParams(**outputs)


def constrained_already(given: dict[str, Any]) -> bool:
    """Whether the request asks for a grammar of its own."""
    wanted = given.get("response_format")
    own = isinstance(wanted, dict) and wanted.get("type") != "text"
    return own or given.get("structured_outputs") is not None


def _request(call: ChatCall, given: dict[str, Any], model: str, *, stream: bool) -> "ChatCompletionRequest":
    from vllm.entrypoints.openai.chat_completion.protocol import ChatCompletionRequest

    try:
        return ChatCompletionRequest.model_validate(fields_for(call, given, model, stream=stream))
    except Exception as error:  # vLLM's validators raise errors of their own, and plain ones on odd input
        raise translate(error) from error


def fields_for(call: ChatCall, given: dict[str, Any], model: str, *, stream: bool) -> dict[str, Any]:
    """What is given, and what belongs to the server, as fields of a request of vLLM's."""
    fields = {name: value for name, value in spaced_request(given).items() if name not in UNSAID}
    if not stream:
        fields.pop("stream_options", None)
    own = {"request_id": call.request_id, "priority": PRIORITIES[call.priority]}
    return fields | {"model": model, "stream": stream} | own


def equal_choices(request: Any, temperature: float) -> int:
    """How many equal choices stand for one: vLLM refuses several where nothing is drawn, so it is asked for one.

    temperature: where the request says nothing.
    """
    drawn = request.temperature if request.temperature is not None else temperature
    choices = request.n or 1
    if choices == 1 or drawn >= NOT_DRAWN:
        return 1
    request.n = 1
    return int(choices)


def check_messages(messages: Any, *, images: bool) -> None:
    """Raise for messages that vLLM would pass on to a template that cannot place them."""
    if not isinstance(messages, list) or not messages:
        raise BadRequest("messages: there must be a list of at least one", param="messages")
    for number, message in enumerate(messages):
        where = f"messages.{number}"
        if not isinstance(message, dict):
            raise BadRequest(f"{where}: not an object", hint="role and content", param=where)
        role, content = message.get("role"), message.get("content")
        if role not in ROLES:
            param = f"{where}.role"
            raise BadRequest(f"{param}: {role!r} is no role", hint=", ".join(ROLES), param=param)
        if content is None and role != "assistant":
            raise BadRequest(f"{where}.content: missing", hint="text or a list of parts", param=f"{where}.content")
        kinds = (*TEXT_PARTS, "image_url") if images and role == "user" else TEXT_PARTS
        for place, part in enumerate(content if isinstance(content, list) else ()):
            _check_part(part, kinds, f"{where}.content.{place}")


def _check_part(part: Any, kinds: tuple[str, ...], where: str) -> None:
    """A part says what it is: vLLM would guess, and then fetch what a bare `image_url` points at."""
    if not isinstance(part, dict) or not isinstance(part.get("type"), str):
        raise BadRequest(f"{where}.type: missing", hint=" or ".join(kinds), param=f"{where}.type")
    if part["type"] not in kinds:
        raise UnsupportedParameter(
            f"Content of type {part['type']!r} is not read here",
            hint=f"send {' or '.join(kinds)}",
            param=f"{where}.type",
        )


def blamed(request: "ChatCompletionRequest", error: HeliostatError, *, pictures: bool) -> HeliostatError:
    """What a living engine says of a request, or of what was special in it. pictures: whether it shows any."""
    own = request.structured_outputs is not None and request.response_format is None
    schema = "tools" if getattr(request, "tools", None) else "structured_outputs" if own else "response_format"
    if isinstance(error, EngineFailure) and constrained(request):
        hint = "simplify its patterns and references"
        return BadRequest("The engine cannot follow this schema", hint=hint, param=schema)
    if isinstance(error, EngineFailure) and pictures:
        hint = "send one of a more usual size and shape"
        return UnreadableImage("The model cannot take this picture", hint=hint, param="messages")
    if error.param == "response_format":
        error.param = schema  # vLLM makes the one of the other
    return error


def constrained(request: "ChatCompletionRequest") -> bool:
    """Whether the answer must follow a grammar."""
    wanted = request.response_format
    return request.structured_outputs is not None or (wanted is not None and wanted.type != "text")


def translate(error: Exception) -> HeliostatError:
    """Any error of vLLM's serving classes as ours."""
    if isinstance(error, HeliostatError):
        return error
    if isinstance(error, ValidationError):
        return _refusal(error)
    from vllm.entrypoints.serve.exception_handling.error_response import create_error_response

    return error_of(create_error_response(error).error.model_dump())


def error_of(info: dict[str, Any]) -> HeliostatError:
    """One of vLLM's error objects (`message`, `type`, `param`, `code`) as ours."""
    message, param, status = DETAILS.sub("", str(info["message"])), info.get("param"), int(info["code"])
    begins = message.partition(" ")[0]
    if param is None and begins in honoured(tools=True):
        param = begins  # as in `top_k must be …`
    if param is None and message.startswith(GRAMMAR_WORDS):
        reason = " ".join(message.removeprefix(GRAMMAR_WORDS[0]).split())
        return BadRequest(f"The schema cannot be followed: {reason[:500]}", param="response_format")
    if status == 503:
        return Overloaded(message, retry_after_s=1.0)
    if status >= 500 and status != 501:  # 501: vLLM cannot do this at all, so trying again is no use
        return EngineFailure(message, param=param)
    if any(words in message for words in CONTEXT_WORDS):
        return ContextTooLong(message, hint="shorten the messages or lower max_tokens", param="messages")
    return BadRequest(message, param=param)


def _refusal(error: ValidationError) -> BadRequest:
    """vLLM's pydantic error. It tries every kind of message and says why each failed, so only the place is kept."""
    first = error.errors(include_url=False)[0]
    path = [str(step) for step in first["loc"]]
    if path[:1] == ["messages"] or error.title == "ValidatorIterator":  # content is validated late, by itself
        param = ".".join(path[:2]) if path[:1] == ["messages"] else "messages"
        message = f"{param}: not a message that this model understands"
        return BadRequest(message, hint="role, and content as text or a list of parts", param=param)
    name = path[0] if path else None
    message = first["msg"].removeprefix("Value error, ")
    return BadRequest(f"{name}: {message}" if name else message, param=name)
