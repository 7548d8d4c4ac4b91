"""A whole chat completion as the events of a stream, and back.

Both ways give None for what they cannot say exactly: fields of an engine that are not known here are not
dropped, the answer is then just not cached in that form.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic_core import from_json

DONE = b"data: [DONE]\n\n"
FINISHED = frozenset({"stop", "length", "tool_calls", "content_filter", "function_call"})
TEXTS = ("content", "refusal", "reasoning", "reasoning_content")  # fields of a message that grow by deltas
HEAD = ("id", "created", "model", "system_fingerprint", "service_tier")
CHUNK = frozenset({*HEAD, "object", "choices", "usage"})
CHOICE = frozenset({"index", "logprobs", "finish_reason", "stop_reason"})
MESSAGE = frozenset({"role", "tool_calls", *TEXTS})
CALL = frozenset({"index", "id", "type", "function"})


def finished(answer: Mapping[str, Any]) -> bool:
    """Whether every choice of a whole answer came to its end."""
    choices = answer.get("choices")
    return (
        isinstance(choices, list)
        and choices != []
        and all(choice.get("finish_reason") in FINISHED for choice in choices)
    )


def events_of(answer: Mapping[str, Any], *, include_usage: bool) -> bytes | None:
    """The events of a whole answer: of each choice the role, what it says at once, and its end."""
    if not _known(answer, CHUNK) or (include_usage and not answer.get("usage")):
        return None
    head = {name: answer[name] for name in HEAD if name in answer} | {"object": "chat.completion.chunk"}
    more = {"usage": None} if include_usage else {}
    written = []
    for choice in answer["choices"]:
        said = choice["message"]
        if not _known(choice, CHOICE | {"message"}) or not _known(said, MESSAGE):
            return None
        index = choice["index"]
        delta = {name: said[name] for name in TEXTS if said.get(name)}
        if said.get("tool_calls"):
            delta["tool_calls"] = [{"index": place, **call} for place, call in enumerate(said["tool_calls"])]
        begun = {"role": "assistant", "content": ""}
        parts: list[dict[str, Any]] = [{"index": index, "delta": begun, "logprobs": None, "finish_reason": None}]
        if delta or choice.get("logprobs"):
            logprobs = choice.get("logprobs")
            parts.append({"index": index, "delta": delta, "logprobs": logprobs, "finish_reason": None})
        end = {"index": index, "delta": {}, "logprobs": None, "finish_reason": choice["finish_reason"]}
        parts.append(end | ({"stop_reason": choice["stop_reason"]} if "stop_reason" in choice else {}))
        written += [_event({**head, "choices": [part], **more}) for part in parts]
    if include_usage:
        written.append(_event({**head, "choices": [], "usage": answer["usage"]}))
    return b"".join([*written, DONE])


def whole_of(stream: bytes) -> dict[str, Any] | None:
    """The whole answer of a stream that came to its end. Its usage is None where the stream did not carry it."""
    events = [event for event in stream.split(b"\n\n") if event]
    if not events or events.pop() + b"\n\n" != DONE:
        return None
    answer: dict[str, Any] = {}
    choices: dict[int, _Choice] = {}
    usage = None
    for event in events:
        if not event.startswith(b"data: "):
            return None
        chunk = from_json(event.removeprefix(b"data: "))
        if not _known(chunk, CHUNK):
            return None
        answer |= {name: chunk[name] for name in HEAD if chunk.get(name) is not None}
        usage = chunk.get("usage") or usage
        for part in chunk["choices"]:
            if not choices.setdefault(part["index"], _Choice()).add(part):
                return None
    said = [choices[index].whole(index) for index in sorted(choices)]
    answer |= {"object": "chat.completion", "choices": said, "usage": usage}
    return answer if finished(answer) else None


class _Choice:
    """One choice of a stream, as far as it has come."""

    def __init__(self) -> None:
        self._texts: dict[str, list[str]] = {}
        self._calls: dict[int, dict[str, Any]] = {}
        self._logprobs: list[Any] | None = None
        self._ends: dict[str, Any] = {"finish_reason": None}

    def add(self, part: Mapping[str, Any]) -> bool:
        """Take one chunk's part; False where it holds what is not known here."""
        delta = part.get("delta") or {}
        if not _known(part, CHOICE | {"delta"}) or not _known(delta, MESSAGE):
            return False
        for name in TEXTS:
            if delta.get(name) is not None:
                self._texts.setdefault(name, []).append(delta[name])
        logprobs = part.get("logprobs")
        if logprobs is not None:
            if not _known(logprobs, frozenset({"content"})):
                return False
            self._logprobs = (self._logprobs or []) + (logprobs.get("content") or [])
        self._ends |= {name: part[name] for name in ("finish_reason", "stop_reason") if part.get(name) is not None}
        return all(self._call(call) for call in delta.get("tool_calls") or ())

    def whole(self, index: int) -> dict[str, Any]:
        texts = {name: "".join(pieces) for name, pieces in self._texts.items()}
        message: dict[str, Any] = {"role": "assistant", "content": texts.pop("content", None), "refusal": None}
        message |= {name: text for name, text in texts.items() if text}
        if self._calls:
            message["content"] = message["content"] or None
            message["tool_calls"] = [self._calls[place] for place in sorted(self._calls)]
        logprobs = None if self._logprobs is None else {"content": self._logprobs}
        return {"index": index, "message": message, "logprobs": logprobs, **self._ends}

    def _call(self, part: Mapping[str, Any]) -> bool:
        function = part.get("function") or {}
        if not _known(part, CALL) or not _known(function, frozenset({"name", "arguments"})):
            return False
        call = self._calls.setdefault(
            part["index"], {"id": None, "type": "function", "function": {"name": None, "arguments": ""}}
        )
        call["id"] = part.get("id") or call["id"]
        call["function"]["name"] = function.get("name") or call["function"]["name"]
        call["function"]["arguments"] += function.get("arguments") or ""
        return True


def _known(given: Mapping[str, Any], names: Sequence[str] | frozenset[str]) -> bool:
    """Whether all that a mapping says is in fields of these names; null and an empty list say nothing."""
    return all(name in names or value is None or value == [] for name, value in given.items())


def _event(chunk: Mapping[str, Any]) -> bytes:
    return b"data: " + json.dumps(chunk, ensure_ascii=False, separators=(",", ":")).encode() + b"\n\n"
