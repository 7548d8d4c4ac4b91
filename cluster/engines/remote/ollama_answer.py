"""Ollama's lines of JSON as OpenAI's chunks, and those folded into one `chat.completion`. Pure."""

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from cluster.engines.remote.lines import event, written
from cluster.errors import ProviderFailure

ENDS = {"stop": "stop", "length": "length"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """What every object of one answer carries. created: Unix seconds."""

    request_id: str
    model: str
    fingerprint: str
    created: int = field(default_factory=lambda: int(time.time()))

    def of(self, kind: str) -> dict[str, Any]:
        """An object's beginning."""
        return {
            "id": f"chatcmpl-{self.request_id}",
            "object": kind,
            "created": self.created,
            "model": self.model,
            "system_fingerprint": self.fingerprint,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """What one line says of one choice. prompt_tokens, tokens: counts, known on the last one."""

    index: int
    delta: dict[str, Any]
    logprobs: list[dict[str, Any]] | None = None
    finish_reason: str | None = None
    prompt_tokens: int = 0
    tokens: int = 0


class Choice:
    """Reads the lines of one choice. name: how errors call the server. call_id: a part of the ids of its calls."""

    def __init__(self, index: int, name: str, *, call_id: str) -> None:
        self._index = index
        self._name = name
        self._call_id = call_id
        self._calls = 0
        self.ended = False

    def read(self, line: Mapping[str, Any]) -> Piece:
        """What a line says. Raises ProviderFailure for one that is not Ollama's."""
        message = line.get("message")
        if not isinstance(message, dict | None) or not isinstance(line.get("done", False), bool):
            raise ProviderFailure(f"{self._name} answered with something that is not Ollama's")
        message = message or {}
        delta: dict[str, Any] = {}
        for theirs, ours in (("content", "content"), ("thinking", "reasoning")):
            said = message.get(theirs)
            if not isinstance(said, str | None):
                raise ProviderFailure(f"{self._name} answered with a {theirs} that is no text")
            if said:
                delta[ours] = said
        if message.get("tool_calls"):
            delta["tool_calls"] = self._tool_calls(message["tool_calls"])
        logprobs = _logprobs(line.get("logprobs"))
        if not line.get("done"):
            return Piece(index=self._index, delta=delta, logprobs=logprobs)
        self.ended = True
        reason = ENDS.get(str(line.get("done_reason")), "stop")
        return Piece(
            index=self._index,
            delta=delta,
            logprobs=logprobs,
            finish_reason="tool_calls" if self._calls and reason == "stop" else reason,
            prompt_tokens=_count(line.get("prompt_eval_count")),
            tokens=_count(line.get("eval_count")),
        )

    def _tool_calls(self, calls: Any) -> list[dict[str, Any]]:
        """Calls come whole, each in one line; a place and an id are theirs alone."""
        made = []
        for call in calls if isinstance(calls, list) else ():
            function = call.get("function") if isinstance(call, dict) else None
            if not isinstance(function, dict) or not isinstance(function.get("name"), str):
                raise ProviderFailure(f"{self._name} answered with a call of no function")
            arguments = function.get("arguments")
            text = arguments if isinstance(arguments, str) else json.dumps(arguments or {}, ensure_ascii=False)
            made.append(
                {
                    "index": self._calls,
                    "id": f"call_{self._call_id}_{self._index}_{self._calls}",
                    "type": "function",
                    "function": {"name": function["name"], "arguments": text},
                }
            )
            self._calls += 1
        return made


class Stream:
    """Writes OpenAI's chunks. include_usage: whether a last one with the counts is wanted."""

    def __init__(self, head: Head, *, include_usage: bool) -> None:
        self._head = head.of("chat.completion.chunk")
        self._more: dict[str, Any] = {"usage": None} if include_usage else {}
        self._include_usage = include_usage
        self._opened: set[int] = set()
        self._counts = Counts()

    def write(self, piece: Piece) -> bytes | None:
        """A piece as an event; None for one that says nothing."""
        self._counts.add(piece)
        if not piece.delta and piece.finish_reason is None and piece.logprobs is None:
            return None
        delta = piece.delta
        if piece.index not in self._opened:
            self._opened.add(piece.index)
            delta = {"role": "assistant", "content": "", **delta}
        return event({**self._head, "choices": [_choice(piece, "delta", delta)], **self._more})

    def end(self) -> bytes | None:
        """The chunk with the counts, where it is wanted."""
        return event({**self._head, "choices": [], "usage": self._counts.usage}) if self._include_usage else None


class Whole:
    """Folds the pieces of an answer into one `chat.completion`."""

    def __init__(self, head: Head, choices: int) -> None:
        self._head = head
        self._pieces: list[list[Piece]] = [[] for _ in range(choices)]
        self._counts = Counts()

    def add(self, piece: Piece) -> None:
        """Take one more."""
        self._counts.add(piece)
        self._pieces[piece.index].append(piece)

    def written(self) -> bytes:
        """The answer."""
        choices = [_folded(pieces) for pieces in self._pieces]
        return written({**self._head.of("chat.completion"), "choices": choices, "usage": self._counts.usage})


class Counts:
    """Tokens of all choices: the prompt, which each of them read, counts once."""

    def __init__(self) -> None:
        self._prompt = 0
        self._answer = 0

    def add(self, piece: Piece) -> None:
        """Count what a piece says."""
        self._prompt = max(self._prompt, piece.prompt_tokens)
        self._answer += piece.tokens

    @property
    def usage(self) -> dict[str, int]:
        """As OpenAI has it."""
        both = self._prompt + self._answer
        return {"prompt_tokens": self._prompt, "completion_tokens": self._answer, "total_tokens": both}


def _folded(pieces: list[Piece]) -> dict[str, Any]:
    last = pieces[-1]
    calls = [call for piece in pieces for call in piece.delta.get("tool_calls", ())]
    text = "".join(piece.delta.get("content", "") for piece in pieces)
    message: dict[str, Any] = {
        "role": "assistant",
        "content": None if calls and not text else text,
        "refusal": None,
    }
    if thoughts := "".join(piece.delta.get("reasoning", "") for piece in pieces):
        message["reasoning"] = thoughts
    if calls:
        message["tool_calls"] = [{name: call[name] for name in ("id", "type", "function")} for call in calls]
    tokens = [token for piece in pieces for token in piece.logprobs or ()]
    told = tokens if any(piece.logprobs is not None for piece in pieces) else None
    folded = Piece(index=last.index, delta={}, logprobs=told, finish_reason=last.finish_reason)
    return _choice(folded, "message", message)


def _choice(piece: Piece, part: str, said: dict[str, Any]) -> dict[str, Any]:
    logprobs = None if piece.logprobs is None else {"content": piece.logprobs, "refusal": None}
    return {"index": piece.index, part: said, "logprobs": logprobs, "finish_reason": piece.finish_reason}


def _logprobs(given: Any) -> list[dict[str, Any]] | None:
    if not isinstance(given, list):
        return None
    return [
        {**_token(one), "top_logprobs": [_token(top) for top in one.get("top_logprobs") or ()]}
        for one in given
        if isinstance(one, dict)
    ]


def _token(one: Mapping[str, Any]) -> dict[str, Any]:
    token = str(one.get("token", ""))
    known = one.get("bytes")
    as_bytes = known if isinstance(known, list) else list(token.encode(errors="replace"))
    return {"token": token, "logprob": one.get("logprob", 0.0), "bytes": as_bytes}


def _count(value: Any) -> int:
    return value if isinstance(value, int) and value >= 0 else 0
