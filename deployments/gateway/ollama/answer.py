"""Our answers as Ollama's: one object, or a line for each piece, the last of them with what it took."""

import json
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import aclosing
from datetime import UTC, datetime
from time import monotonic
from typing import Any

from pydantic_core import from_json

from cluster.errors import EngineFailure
from deployments.gateway import timing
from deployments.gateway.models.use import Use

Json = dict[str, Any]
ENDS = {"length": "length"}  # all other ends are `stop` there
DONE = b"[DONE]"
PREFIX = b"data: "
NANOSECONDS = 1_000_000_000
Shape = Callable[[str, str, list[Json]], Json]
"""What a line says: of a text, thoughts and calls."""


def chat_shape(text: str, thinking: str, calls: list[Json]) -> Json:
    """As `/api/chat` says it."""
    message: Json = {"role": "assistant", "content": text}
    if thinking:
        message["thinking"] = thinking
    if calls:
        message["tool_calls"] = calls
    return {"message": message}


def generate_shape(text: str, thinking: str, _: list[Json]) -> Json:
    """As `/api/generate` says it: it has no calls."""
    return {"response": text, "thinking": thinking} if thinking else {"response": text}


class Spent:
    """What an answer takes, in seconds of one clock, from here on. use: what its model's loading took."""

    def __init__(self, use: Use, clock: Callable[[], float] = monotonic) -> None:
        self._use = use
        self._clock = clock
        self._begun = clock()
        self._first: float | None = None

    def token(self) -> None:
        """Something of the answer is here."""
        if self._first is None:
            self._first = self._clock()

    def told(self, usage: Mapping[str, int] | None = None, *, streamed: bool = False) -> Json:
        """Nanoseconds and counts for an answer's end. What nobody measured is left out."""
        now, load_s = self._clock(), self._use.load_s
        found: Json = {"total_duration": _ns(now - self._begun), "load_duration": _ns(load_s)}
        if usage is None:
            return found
        read_s, write_s = self._parts(now, streamed)
        found["prompt_eval_count"] = usage.get("prompt_tokens", 0)
        if read_s is not None:
            found["prompt_eval_duration"] = _ns(read_s)
        found["eval_count"] = usage.get("completion_tokens", 0)
        if write_s is not None:
            found["eval_duration"] = _ns(write_s)
        return found

    def _parts(self, now: float, streamed: bool) -> tuple[float | None, float | None]:
        """Reading the prompt and writing the answer: by the engine's word, else by when the first token came."""
        request = timing.current()
        stages = request.stages(streamed=streamed, ended=True) if request is not None else {}
        if not streamed:
            until = stages.get("first_token")
            return stages.get("prefill"), None if until is None else stages["total"] - until
        if self._first is None:
            return None, None
        waited_s = self._first - self._begun - self._use.load_s
        return stages.get("prefill", max(waited_s, 0.0)), now - self._first


class Writer:
    """Writes one answer's objects. model: as it was asked for; served: what we call it."""

    def __init__(self, shape: Shape, spent: Spent, *, model: str, served: str) -> None:
        self._shape = shape
        self._spent = spent
        self._model = model
        self._served = served
        self._calls: dict[int, Json] = {}  # those that are still on their way, by OpenAI's index
        self._end: str | None = None
        self._usage: Mapping[str, int] = {}

    def whole(self, completion: bytes) -> bytes:
        """A whole answer. Raises EngineFailure for a call whose arguments are no JSON object."""
        given = json.loads(completion)
        self._named(given)
        choice = given["choices"][0]
        said = choice.get("message") or {"content": choice.get("text")}
        calls = [_called(call, at) for at, call in enumerate(said.get("tool_calls") or ())]
        body = self._line(said.get("content") or "", _thoughts(said), calls, choice)
        end = self._ended(choice.get("finish_reason"), given.get("usage") or {}, streamed=False)
        return _written({**body, **end})

    def empty(self, reason: str) -> bytes:
        """The answer to a request that asked for nothing but a model's coming or going."""
        return _written({**self._line("", "", []), "done": True, "done_reason": reason})

    async def lines(self, chunks: AsyncIterator[bytes]) -> AsyncGenerator[bytes, None]:
        """Translate server-sent events, several to an item, item by item; closing it closes `chunks`."""
        async with aclosing(chunks) as items:  # type: ignore[type-var]  # every stream here is a generator
            async for item in items:
                written = [
                    line
                    for event in item.split(b"\n\n")
                    if event.startswith(PREFIX) and not event.endswith(DONE)
                    for line in self._read(json.loads(event.removeprefix(PREFIX)))
                ]
                if written:
                    yield b"".join(written)
        end = self._ended(self._end, self._usage, streamed=True)
        yield _written({**self._line("", "", self._taken()), **end}) + b"\n"

    def _read(self, chunk: Mapping[str, Any]) -> list[bytes]:
        self._named(chunk)
        self._usage = chunk.get("usage") or self._usage
        written = []
        for choice in chunk.get("choices") or ():
            delta = choice.get("delta") or {"content": choice.get("text")}
            text, thinking = delta.get("content") or "", _thoughts(delta)
            begun = [self._add(call) for call in delta.get("tool_calls") or ()]
            if text or thinking or any(begun):
                self._spent.token()
            calls = self._taken() if choice.get("finish_reason") else []
            if text or thinking or calls:
                written.append(_written(self._line(text, thinking, calls, choice)) + b"\n")
            self._end = choice.get("finish_reason") or self._end
        return written

    def _add(self, call: Mapping[str, Any]) -> bool:
        """A piece of a call: Ollama's lines have calls whole."""
        function = call.get("function") or {}
        kept = self._calls.setdefault(call["index"], {"id": "", "function": {"name": "", "arguments": ""}})
        kept["id"] = call.get("id") or kept["id"]
        kept["function"]["name"] += function.get("name") or ""
        kept["function"]["arguments"] += function.get("arguments") or ""
        return True

    def _taken(self) -> list[Json]:
        calls, self._calls = self._calls, {}
        return [_called(call, at) for at, call in sorted(calls.items())]

    def _named(self, given: Mapping[str, Any]) -> None:
        """A fallback may have answered, or a model that has another name beside the one that was asked for."""
        if given.get("model") not in (None, self._served):
            self._model = self._served = str(given["model"])

    def _line(self, text: str, thinking: str, calls: list[Json], choice: Mapping[str, Any] | None = None) -> Json:
        at = datetime.now(UTC).isoformat().replace("+00:00", "Z")
        line: Json = {"model": self._model, "created_at": at, **self._shape(text, thinking, calls)}
        logprobs = ((choice or {}).get("logprobs") or {}).get("content")
        if logprobs:
            line["logprobs"] = logprobs
        return {**line, "done": False}

    def _ended(self, reason: str | None, usage: Mapping[str, int], *, streamed: bool) -> Json:
        why = ENDS.get(reason or "stop", "stop")
        return {"done": True, "done_reason": why, **self._spent.told(usage, streamed=streamed)}


def _called(call: Mapping[str, Any], at: int) -> Json:
    function = call["function"]
    try:
        arguments = from_json(function["arguments"] or "{}", allow_partial=True)  # of a cut one, what is there
    except ValueError:
        arguments = None
    if not isinstance(arguments, dict):
        raise EngineFailure(f"The model called {function['name']} with arguments that are no JSON object")
    return {"id": call["id"], "function": {"index": at, "name": function["name"], "arguments": arguments}}


def _thoughts(said: Mapping[str, Any]) -> str:
    return said.get("reasoning") or said.get("reasoning_content") or ""


def _ns(seconds: float) -> int:
    return round(max(seconds, 0.0) * NANOSECONDS)


def _written(content: Json) -> bytes:
    return json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode(errors="replace")
