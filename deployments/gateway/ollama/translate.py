"""Ollama's requests as our `chat.completion` and raw ones, and errors about these in the words of those."""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from cluster.errors import BadRequest, HeliostatError, UnsupportedParameter
from deployments.gateway.ollama.wire import Asking, ChatBody, GenerateBody, Message, Options, ToolCall

Json = dict[str, Any]
TYPES = {"iVBOR": "png", "/9j/": "jpeg", "R0lGOD": "gif", "UklGR": "webp"}  # by how base64 of such a file begins
OURS = {  # of theirs
    "temperature": "temperature",
    "top_p": "top_p",
    "top_k": "top_k",
    "min_p": "min_p",
    "seed": "seed",
    "stop": "stop",
    "repeat_penalty": "repetition_penalty",
    "presence_penalty": "presence_penalty",
    "frequency_penalty": "frequency_penalty",
    "num_predict": "max_tokens",
}
NAMES = {**{ours: f"options.{theirs}" for theirs, ours in OURS.items()}, "response_format": "format"}
MESSAGE = re.compile(r"messages(?:\[(\d+)\]|\.(\d+))(.*)")
PART = re.compile(r"(?:\.content\[(\d+)\]|\.content\.(\d+))")


@dataclass(frozen=True, slots=True, kw_only=True)
class Translated:
    """A request in OpenAI's shape.

    places: where each message, and each part of one, stood in Ollama's. all: where all of them did.
    """

    body: Json
    places: dict[tuple[int, int | None], str] = field(default_factory=dict)
    all: str = "messages"

    @property
    def written(self) -> bytes:
        """The body as JSON."""
        return json.dumps(self.body).encode()

    @contextmanager
    def blamed(self) -> Iterator[None]:
        """Errors of the block name what the client sent."""
        try:
            yield
        except HeliostatError as error:
            error.param = self._renamed(error.param)
            raise

    def _renamed(self, param: str | None) -> str | None:
        if param in (None, "model"):
            return param
        if param in ("messages", "prompt"):
            return self.all
        found = MESSAGE.match(param or "")
        if found is None:
            return NAMES.get(param or "", param)
        number, part = int(found[1] or found[2]), PART.match(found[3])
        place = self.places.get((number, int(part[1] or part[2]))) if part else None
        return place or self.places.get((number, None), self.all)


def chat_of(wanted: ChatBody, model: str) -> Translated:
    """The `chat.completion` request of a chat. Raises BadRequest and UnsupportedParameter."""
    messages: list[Json] = []
    places: dict[tuple[int, int | None], str] = {}
    open_calls: list[tuple[str, str]] = []  # ids and names of the calls that no tool has answered yet
    for at, message in enumerate(wanted.messages or ()):
        place = f"messages[{at}]"
        places |= _places(at, place, place + ".content", place + ".images", len(message.images or ()))
        messages.append(_message(message, place, open_calls))
    body = {**_asked(wanted, model), "messages": messages}
    if wanted.tools:
        body["tools"] = wanted.tools
    return Translated(body=body, places=places)


def generate_of(wanted: GenerateBody, model: str) -> Translated:
    """The `chat.completion` request of a prompt in the model's own template. Raises as `chat_of`."""
    _refuse(wanted)
    messages: list[Json] = [{"role": "system", "content": wanted.system}] if wanted.system else []
    places: dict[tuple[int, int | None], str] = {(0, None): "system"} if wanted.system else {}
    places |= _places(len(messages), "prompt", "prompt", "images", len(wanted.images or ()))
    messages.append({"role": "user", "content": _content(wanted.prompt or "", wanted.images)})
    return Translated(body={**_asked(wanted, model), "messages": messages}, places=places, all="prompt")


def raw_of(wanted: GenerateBody, model: str) -> Translated:
    """The raw completion request of a prompt that is read as it is. Raises as `chat_of`."""
    _refuse(wanted)
    for name in ("system", "images", "logprobs", "top_logprobs"):
        if getattr(wanted, name):
            raise UnsupportedParameter(f"{name} does not go with raw", hint=f"leave out raw or {name}", param=name)
    return Translated(body={**_asked(wanted, model), "prompt": wanted.prompt}, all="prompt")


def sampling(options: Options | None) -> Json:
    """The options by our names."""
    if options is None:
        return {}
    fields: Json = {}
    for theirs, ours in OURS.items():
        if (value := getattr(options, theirs)) is not None:
            fields[ours] = value
    if fields.get("max_tokens", 1) < 0:  # as much as fits, as without it
        del fields["max_tokens"]
    if fields.get("seed", 0) < 0:  # none, at Ollama
        del fields["seed"]
    if fields.get("stop") == []:
        del fields["stop"]
    return fields


def _asked(wanted: Asking, model: str) -> Json:
    if wanted.think not in (None, False):
        raise UnsupportedParameter("think is not to be switched on here", hint="leave it out", param="think")
    body: Json = {"model": model, "stream": wanted.streamed, **sampling(wanted.options)}
    if wanted.streamed:
        body["stream_options"] = {"include_usage": True}
    if wanted.format == "json":
        body["response_format"] = {"type": "json_object"}
    elif wanted.format:
        schema = {"name": "answer", "schema": wanted.format, "strict": True}
        body["response_format"] = {"type": "json_schema", "json_schema": schema}
    if wanted.logprobs:
        body["logprobs"] = True
    if wanted.top_logprobs is not None:
        body["top_logprobs"] = wanted.top_logprobs
    return body


def _refuse(wanted: GenerateBody) -> None:
    """Raise for what belongs to Ollama's own way of reading a prompt."""
    for name, instead in (
        ("suffix", "no model here fills in the middle"),
        ("template", "write the prompt whole, and send raw: true"),
        ("context", "send the conversation to /api/chat"),
    ):
        if getattr(wanted, name):
            raise UnsupportedParameter(f"{name} is not honoured", hint=instead, param=name)


def _places(at: int, message: str, text: str, images: str, count: int) -> dict[tuple[int, int | None], str]:
    parts: dict[tuple[int, int | None], str] = {(at, n + 1): f"{images}[{n}]" for n in range(count)}
    return {(at, None): message, (at, 0): text, **parts}


def _message(message: Message, place: str, open_calls: list[tuple[str, str]]) -> Json:
    """One message; the calls that it makes are added to those that are open, the one that it answers is taken."""
    if message.role == "tool":
        return {
            "role": "tool",
            "tool_call_id": _answered(message, place, open_calls),
            "content": message.content or "",
        }
    if message.role == "assistant":
        open_calls.clear()
        said: Json = {"role": "assistant", "content": message.content or ""}
        if message.tool_calls:
            said["tool_calls"] = [_call(call, f"{place}-{at}") for at, call in enumerate(message.tool_calls)]
            open_calls += [(call["id"], call["function"]["name"]) for call in said["tool_calls"]]
            said["content"] = message.content or None
        return said
    return {"role": message.role, "content": _content(message.content or "", message.images)}


def _answered(message: Message, place: str, open_calls: list[tuple[str, str]]) -> str:
    """The id of the call that a tool answers: by its id, else the first open one of its name, else the first."""
    for call in open_calls:
        by_id = message.tool_call_id is not None and call[0] == message.tool_call_id
        by_name = message.tool_call_id is None and message.tool_name in (None, "", call[1])
        if by_id or by_name:
            open_calls.remove(call)
            return call[0]
    param = f"{place}.{'tool_call_id' if message.tool_call_id else 'tool_name'}"
    raise BadRequest(
        "No message before it calls that tool", hint="send the assistant's message with it", param=param
    )


def _call(call: ToolCall, place: str) -> Json:
    made = re.sub(r"[\[\].]+", "_", f"call_{place}")
    arguments = json.dumps(call.function.arguments, ensure_ascii=False)
    function = {"name": call.function.name, "arguments": arguments}
    return {"id": call.id or made, "type": "function", "function": function}


def _content(text: str, images: list[str] | None) -> str | list[Json]:
    if not images:
        return text
    return [
        {"type": "text", "text": text},
        *({"type": "image_url", "image_url": {"url": _url(one)}} for one in images),
    ]


def _url(image: str) -> str:
    """A picture in base64 as a data URL. What it is not is told by whoever reads it."""
    kind = next((kind for begin, kind in TYPES.items() if image.startswith(begin)), "png")
    return f"data:image/{kind};base64,{image}"
