"""OpenAI's chat completion objects for engines that compute token by token.

Three steps: `chat_request.parse` reads the request (pre), the engine yields `Delta`s (core), and `whole` or
`events` turn them into one `chat.completion` or into server-sent chunks (post). vLLM brings its own.
"""

import json
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any

from cluster.types import Usage

DONE = b"data: [DONE]\n\n"


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


async def whole(writer: Writer, choices: int, deltas: AsyncGenerator[Delta, None]) -> bytes:
    """Collect all deltas into one `chat.completion`."""
    texts = ["" for _ in range(choices)]
    reasons: list[str | None] = [None] * choices
    tokens = 0
    async with aclosing(deltas) as open_deltas:
        async for delta in open_deltas:
            texts[delta.index] += delta.text
            tokens += delta.tokens
            reasons[delta.index] = delta.finish_reason or reasons[delta.index]
    return writer.whole(texts, reasons, tokens)


async def events(writer: Writer, choices: int, deltas: AsyncGenerator[Delta, None]) -> AsyncGenerator[bytes, None]:
    """Turn deltas into events as they come.

    The first delta is awaited before the first event, so that a failure up to then raises before any output.
    """
    tokens = 0
    opened = False
    async with aclosing(deltas) as open_deltas:
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
