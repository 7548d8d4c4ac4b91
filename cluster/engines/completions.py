"""OpenAI's chat completion objects for engines that compute token by token.

Three steps: `parse` reads the request (pre), the engine yields `Delta`s (core), and `whole` or `events` turn
them into one `chat.completion` or into server-sent chunks (post). vLLM brings its own of all three.
"""

import json
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from cluster.errors import BadRequest, ContextTooLong, UnsupportedParameter
from cluster.types import Usage

DONE = b"data: [DONE]\n\n"
Stop = str | tuple[str, ...] | None


class _Wire(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Part(_Wire):
    """A piece of a message's content. Engines of this kind read text only."""

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


class StreamOptions(_Wire):
    """What a stream carries besides text."""

    include_usage: bool = False


class ChatRequest(_Wire):
    """The part of OpenAI's request that a token-by-token engine can honour."""

    messages: tuple[Message, ...] = Field(min_length=1)
    model: str | None = None
    stream: bool = False
    stream_options: StreamOptions | None = None
    max_tokens: int | None = Field(None, ge=1)
    max_completion_tokens: int | None = Field(None, ge=1)
    temperature: float | None = Field(None, ge=0, le=2)
    top_p: float | None = Field(None, gt=0, le=1)
    seed: int | None = Field(None, ge=-(2**63), lt=2**63)
    n: int | None = Field(None, ge=1, le=128)
    stop: Stop = None
    user: str | None = None
    metadata: dict[str, str] | None = None

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

    def last(self, role: str) -> str:
        """The text of the last message of a role, or nothing."""
        return next((message.text for message in reversed(self.messages) if message.role == role), "")


PARAMETERS = frozenset(ChatRequest.model_fields)


@dataclass(frozen=True, slots=True, kw_only=True)
class Delta:
    """New text of one choice. tokens: how many it took. finish_reason: set on the choice's last delta."""

    index: int
    text: str = ""
    tokens: int = 0
    finish_reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Writer:
    """Writes one call's objects. created: Unix seconds."""

    request_id: str
    model: str
    fingerprint: str
    prompt_tokens: int
    include_usage: bool = False
    created: int = field(default_factory=lambda: int(time.time()))

    def whole(self, texts: Sequence[str], reasons: Sequence[str | None], completion_tokens: int) -> bytes:
        """One `chat.completion`."""
        choices = [
            {
                "index": index,
                "message": {"role": "assistant", "content": text, "refusal": None},
                "logprobs": None,
                "finish_reason": reason,
            }
            for index, (text, reason) in enumerate(zip(texts, reasons, strict=True))
        ]
        head = self._head("chat.completion")
        return _json({**head, "choices": choices, "usage": self._usage(completion_tokens)})

    def chunk(self, index: int, delta: dict[str, str], finish_reason: str | None = None) -> bytes:
        """One `chat.completion.chunk` of one choice, as an event."""
        choice = {"index": index, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
        usage: dict[str, Any] = {"usage": None} if self.include_usage else {}
        return _event({**self._head("chat.completion.chunk"), "choices": [choice], **usage})

    def usage_chunk(self, completion_tokens: int) -> bytes:
        """The last chunk of a stream that asked for usage, as an event."""
        head = self._head("chat.completion.chunk")
        return _event({**head, "choices": [], "usage": self._usage(completion_tokens)})

    def _head(self, kind: str) -> dict[str, Any]:
        return {
            "id": f"chatcmpl-{self.request_id}",
            "object": kind,
            "created": self.created,
            "model": self.model,
            "system_fingerprint": self.fingerprint,
        }

    def _usage(self, completion_tokens: int) -> dict[str, int]:
        usage = Usage(prompt_tokens=self.prompt_tokens, completion_tokens=completion_tokens)
        return {
            "prompt_tokens": usage.prompt_tokens,
            "completion_tokens": usage.completion_tokens,
            "total_tokens": usage.total_tokens,
        }


def parse(body: bytes, honoured: frozenset[str] = PARAMETERS) -> ChatRequest:
    """Read a request. A parameter given as null counts as not given.

    Raises UnsupportedParameter for a parameter outside `honoured`, BadRequest for anything malformed.
    """
    given = read_object(body)
    for name, value in given.items():
        if name not in honoured and value is not None:
            raise UnsupportedParameter(
                f"This model does not support the parameter {name!r}",
                hint=f"supported: {', '.join(sorted(honoured))}",
                param=name,
            )
    known = {name: value for name, value in given.items() if name in honoured}
    try:
        request = ChatRequest.model_validate_json(json.dumps(known))
    except ValidationError as error:
        raise refusal(error) from None
    if request.stream_options is not None and not request.stream:
        hint = "set stream to true, or leave stream_options out"
        raise BadRequest("stream_options is only for streams", hint=hint, param="stream_options")
    return request


def read_object(body: bytes) -> dict[str, Any]:
    """The body as a JSON object. Raises BadRequest."""
    try:
        given = json.loads(body)
    except ValueError as error:
        raise BadRequest(f"The body is not JSON: {error}", hint="send one JSON object") from None
    if not isinstance(given, dict):
        raise BadRequest(f"The body is a JSON {type(given).__name__}", hint="send one JSON object")
    return given


UNION_TAGS = ("str", "Part", "tuple", "dict", "function-", "constrained-", "list")


def refusal(error: ValidationError) -> BadRequest:
    """A pydantic error as ours, with the JSON path of the field: the most specific one where several apply."""
    first = max(error.errors(include_url=False), key=lambda problem: (len(_path(problem)), -len(problem["msg"])))
    path = _path(first)
    param = ".".join(path) or None
    if first["type"] == "extra_forbidden":
        return UnsupportedParameter(f"This model does not support {param}", hint="leave it out", param=param)
    if path[-1:] == ("type",) and first["type"] == "literal_error":
        kind = first["input"]
        return UnsupportedParameter(f"This model does not read content of type {kind!r}", param=param)
    message = first["msg"].removeprefix("Value error, ")
    return BadRequest(f"{param or 'request'}: {message}", param=param)


def _path(problem: Any) -> tuple[str, ...]:
    """Where a problem is, without the union tags that pydantic puts between."""
    return tuple(
        str(step)
        for step in problem["loc"]
        if isinstance(step, int) or not (step.startswith(UNION_TAGS) and step != "function")
    )


def room(prompt_tokens: int, limit: int | None, context_length: int) -> int:
    """How many tokens may be generated, at least 1. Raises ContextTooLong in OpenAI's words."""
    wanted = limit if limit is not None else 1
    if prompt_tokens + wanted > context_length:
        raise ContextTooLong(
            f"This model's maximum context length is {context_length} tokens. However, you requested "
            f"{prompt_tokens + wanted} tokens ({prompt_tokens} in the messages, {wanted} in the completion). "
            "Please reduce the length of the messages or completion.",
            param="messages",
        )
    return limit if limit is not None else context_length - prompt_tokens


async def whole(writer: Writer, choices: int, deltas: AsyncIterator[Delta]) -> bytes:
    """Collect all deltas into one `chat.completion`."""
    texts = ["" for _ in range(choices)]
    reasons: list[str | None] = [None] * choices
    tokens = 0
    async with aclosing(deltas) as open_deltas:  # type: ignore[type-var]  # engines pass generators
        async for delta in open_deltas:
            texts[delta.index] += delta.text
            tokens += delta.tokens
            reasons[delta.index] = delta.finish_reason or reasons[delta.index]
    return writer.whole(texts, reasons, tokens)


async def events(writer: Writer, choices: int, deltas: AsyncIterator[Delta]) -> AsyncIterator[bytes]:
    """Turn deltas into events as they come.

    The first delta is awaited before the first event, so that a failure up to then raises before any output.
    """
    tokens = 0
    opened = False
    async with aclosing(deltas) as open_deltas:  # type: ignore[type-var]  # engines pass generators
        async for delta in open_deltas:
            if not opened:
                for index in range(choices):
                    yield writer.chunk(index, {"role": "assistant", "content": ""})
                opened = True
            tokens += delta.tokens
            if delta.text:
                yield writer.chunk(delta.index, {"content": delta.text})
            if delta.finish_reason is not None:
                yield writer.chunk(delta.index, {}, delta.finish_reason)
    if writer.include_usage:
        yield writer.usage_chunk(tokens)
    yield DONE


def _json(value: dict[str, Any]) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def _event(value: dict[str, Any]) -> bytes:
    return b"data: " + _json(value) + b"\n\n"
