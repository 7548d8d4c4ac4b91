"""Reading a chat request: what is honoured is checked strictly, what is not is refused.

`Generation` holds the parameters that every chat engine honours; `ChatRequest` adds the messages as an engine
that reads text only understands them. A parameter given as null counts as not given.
"""

import json
from collections.abc import Mapping
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from cluster.errors import BadRequest, ContextTooLong, UnsupportedParameter

UNION_TAGS = ("str", "list[", "tuple[", "int", "float", "bool", "dict", "function-", "constrained-", "lax-or")
Model = TypeVar("Model", bound="Generation")
CHOICES_MAX = 128  # as at OpenAI: every choice takes a slot of the engine


class _Wire(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class StreamOptions(_Wire):
    """What a stream carries besides text."""

    include_usage: bool = False


class Generation(_Wire):
    """The parameters that every chat engine honours; LABELS are for the client's own use."""

    model: str | None = None
    stream: bool = False
    stream_options: StreamOptions | None = None
    max_tokens: int | None = Field(None, ge=1)
    max_completion_tokens: int | None = Field(None, ge=1)
    temperature: float | None = Field(None, ge=0, le=2)
    top_p: float | None = Field(None, gt=0, le=1)
    seed: int | None = Field(None, ge=-(2**63), lt=2**63)
    n: int | None = Field(None, ge=1, le=CHOICES_MAX)
    stop: str | tuple[str, ...] | None = None
    user: str | None = None
    metadata: dict[str, str] | None = None
    prompt_cache_key: str | None = None
    safety_identifier: str | None = None
    # What OpenAI's clients send to say: as you do anyway.
    store: Literal[False] | None = None
    service_tier: Literal["auto", "default"] | None = None
    modalities: tuple[Literal["text"]] | None = None

    @property
    def limit(self) -> int | None:
        """The most tokens that may be generated; the newer name wins, None is as many as fit."""
        return self.max_completion_tokens or self.max_tokens

    @property
    def choices(self) -> int:
        """How many answers are wanted."""
        return self.n or 1

    @property
    def stops(self) -> tuple[str, ...]:
        """The stop strings."""
        stops = (self.stop,) if isinstance(self.stop, str) else self.stop or ()
        return tuple(stop for stop in stops if stop)

    @property
    def include_usage(self) -> bool:
        """Whether a stream ends with a chunk of usage."""
        return self.stream_options is not None and self.stream_options.include_usage


class Part(_Wire):
    """A piece of a message's content."""

    type: Literal["text"]
    text: str


class Message(_Wire):
    """One turn of the conversation."""

    role: Literal["system", "developer", "user", "assistant"]
    content: str | tuple[Part, ...]

    @property
    def text(self) -> str:
        """The content as one string."""
        return self.content if isinstance(self.content, str) else "".join(part.text for part in self.content)


class ChatRequest(Generation):
    """A request to an engine that reads text only."""

    messages: tuple[Message, ...] = Field(min_length=1)

    def last(self, role: str) -> str:
        """The text of the last message of a role, or nothing."""
        return next((message.text for message in reversed(self.messages) if message.role == role), "")


GENERATION = frozenset(Generation.model_fields)
LABELS = frozenset({"user", "metadata", "prompt_cache_key", "safety_identifier"})
NOTHING = frozenset({"store", "service_tier", "modalities"})  # only values that change nothing are taken
PARAMETERS = frozenset(ChatRequest.model_fields)


def parse(body: bytes) -> ChatRequest:
    """Read a request of text. Raises UnsupportedParameter and BadRequest, both with the JSON path."""
    given = read_object(body)
    check_known(given, PARAMETERS)
    return validated(ChatRequest, {name: value for name, value in given.items() if value is not None})


def check_generation(given: Mapping[str, Any]) -> Generation:
    """Check the parameters that every engine honours, among others. Raises BadRequest with the JSON path."""
    known = {name: value for name, value in given.items() if name in GENERATION and value is not None}
    return validated(Generation, known)


def check_known(given: Mapping[str, Any], honoured: frozenset[str]) -> None:
    """Raise UnsupportedParameter for the first parameter that is given and not honoured."""
    for name, value in given.items():
        if name not in honoured and value is not None:
            hint = f"supported: {', '.join(sorted(honoured))}"
            raise UnsupportedParameter(f"This model does not support the parameter {name!r}", hint=hint, param=name)


def read_object(body: bytes) -> dict[str, Any]:
    """The body as a JSON object. Raises BadRequest."""
    try:
        given = json.loads(body)
    except ValueError as error:
        raise BadRequest(f"The body is not JSON: {error}", hint="send one JSON object") from None
    if not isinstance(given, dict):
        raise BadRequest(f"The body is a JSON {type(given).__name__}", hint="send one JSON object")
    return given


def refusal(error: ValidationError) -> BadRequest:
    """A pydantic error as ours, with the JSON path of the field: of several, the one that got furthest."""
    problems = error.errors(include_url=False)
    kind = next((one for one in problems if one["type"] == "literal_error" and one["loc"][-1] == "type"), None)
    if kind is not None:
        param = ".".join(_path(kind["loc"]))
        return UnsupportedParameter(f"This model does not read content of type {kind['input']!r}", param=param)
    first = max(problems, key=lambda one: len(_path(one["loc"])))
    param = ".".join(_path(first["loc"]))
    if first["type"] == "extra_forbidden":
        return UnsupportedParameter(f"This model does not support {param!r}", hint="leave it out", param=param)
    message = first["msg"].removeprefix("Value error, ")
    return BadRequest(f"{param}: {message}" if param else message, param=param or None)


def room(prompt_tokens: int, limit: int | None, context_length: int, *, param: str = "messages") -> int:
    """How many tokens may be generated, at least 1. Raises ContextTooLong in OpenAI's words."""
    wanted = limit if limit is not None else 1
    if prompt_tokens + wanted > context_length:
        raise ContextTooLong(
            f"This model's maximum context length is {context_length} tokens. However, you requested "
            f"{prompt_tokens + wanted} tokens ({prompt_tokens} in the {param}, {wanted} in the completion). "
            f"Please reduce the length of the {param} or completion.",
            param=param,
        )
    return limit if limit is not None else context_length - prompt_tokens


def validated(kind: type[Model], given: Mapping[str, Any]) -> Model:
    """The parameters as their model. Raises BadRequest with the JSON path."""
    try:
        request = kind.model_validate_json(json.dumps(given))  # as JSON, because strict arrays are tuples there
    except ValidationError as error:
        raise refusal(error) from None
    _check_stream_options(request)
    return request


def _check_stream_options(request: Generation) -> None:
    if request.stream_options is not None and not request.stream:
        hint = "set stream to true, or leave stream_options out"
        raise BadRequest("stream_options is only for streams", hint=hint, param="stream_options")


def _path(location: tuple[int | str, ...]) -> tuple[str, ...]:
    """Where a problem is, without the union tags and type names that pydantic puts between."""
    return tuple(
        str(step)
        for step in location
        if isinstance(step, int) or not (step.startswith(UNION_TAGS) or step[:1].isupper())
    )
