"""OpenAI's chat completion objects for engines that compute token by token.

Three steps: `chat_request.parse` reads the request (pre), the engine yields `Delta`s (core), and `whole` or
`events` turn them into one `chat.completion` or into server-sent chunks (post). vLLM brings its own.
"""

import json
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any, ClassVar

from cluster.timing import tell
from cluster.types import EngineTiming, Usage

DONE = b"data: [DONE]\n\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Delta:
    """New text of one choice. tokens: how many it took. finish_reason: set on the choice's last delta.

    met: on that one too, the stop string that ended it; None where it ended by itself.
    """

    index: int
    text: str = ""
    tokens: int = 0
    finish_reason: str | None = None
    met: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Writer:
    """Writes one call's objects. created: Unix seconds."""

    KIND: ClassVar[str] = "chat.completion"
    CHUNK: ClassVar[str] = "chat.completion.chunk"
    ID: ClassVar[str] = "chatcmpl"

    request_id: str
    model: str
    fingerprint: str
    prompt_tokens: int
    include_usage: bool = False
    created: int = field(default_factory=lambda: int(time.time()))

    def whole(self, texts: Sequence[str], ends: Sequence[Delta], completion_tokens: int) -> bytes:
        """One `chat.completion`. ends: each choice's last delta."""
        choices = [
            {
                "index": index,
                "message": {"role": "assistant", "content": text, "refusal": None},
                "logprobs": None,
                "finish_reason": end.finish_reason,
                "stop_reason": end.met,  # as vLLM names it
            }
            for index, (text, end) in enumerate(zip(texts, ends, strict=True))
        ]
        return self.object_of(choices, completion_tokens)

    def object_of(self, choices: Sequence[dict[str, Any]], completion_tokens: int) -> bytes:
        """The whole answer around its choices."""
        return _json({**self._head(self.KIND), "choices": choices, "usage": self._usage(completion_tokens)})

    def opening(self, index: int) -> bytes:
        """What comes before a choice's first text."""
        return self.chunk(index, {"role": "assistant", "content": ""})

    def text(self, delta: Delta) -> bytes:
        """A choice's next text."""
        return self.chunk(delta.index, {"content": delta.text})

    def closing(self, end: Delta) -> bytes:
        """A choice's end. end: its last delta."""
        return self.chunk(end.index, {}, end)

    def chunk(self, index: int, delta: dict[str, str], end: Delta | None = None) -> bytes:
        """One `chat.completion.chunk` of a choice, as an event. end: the choice's last delta, in its last one."""
        reason = end.finish_reason if end else None
        choice: dict[str, Any] = {"index": index, "delta": delta, "logprobs": None, "finish_reason": reason}
        if end is not None:
            choice["stop_reason"] = end.met
        return self.event_of(choice)

    def event_of(self, choice: dict[str, Any]) -> bytes:
        """One choice's part of a stream, as an event."""
        usage: dict[str, Any] = {"usage": None} if self.include_usage else {}
        return _event({**self._head(self.CHUNK), "choices": [choice], **usage})

    def usage_chunk(self, completion_tokens: int) -> bytes:
        """The last chunk of a stream that asked for usage, as an event."""
        return _event({**self._head(self.CHUNK), "choices": [], "usage": self._usage(completion_tokens)})

    def _head(self, kind: str) -> dict[str, Any]:
        return {
            "id": f"{self.ID}-{self.request_id}",
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
    ends = [Delta(index=index) for index in range(choices)]
    tokens = 0
    begun, opened = time.monotonic(), False
    async with aclosing(deltas) as open_deltas:
        async for delta in open_deltas:
            if not opened:
                tell(EngineTiming(prefill_s=time.monotonic() - begun))
                opened = True
            texts[delta.index] += delta.text
            tokens += delta.tokens
            if delta.finish_reason is not None:
                ends[delta.index] = delta
    return writer.whole(texts, ends, tokens)


async def events(writer: Writer, choices: int, deltas: AsyncGenerator[Delta, None]) -> AsyncGenerator[bytes, None]:
    """Turn deltas into events as they come.

    The first delta is awaited before the first event, so that a failure up to then raises before any output.
    """
    tokens = 0
    begun, opened = time.monotonic(), False
    async with aclosing(deltas) as open_deltas:
        async for delta in open_deltas:
            if not opened:
                tell(EngineTiming(prefill_s=time.monotonic() - begun))
                for index in range(choices):
                    if opening := writer.opening(index):
                        yield opening
                opened = True
            tokens += delta.tokens
            if delta.text:
                yield writer.text(delta)
            if delta.finish_reason is not None:
                yield writer.closing(delta)
    if writer.include_usage:
        yield writer.usage_chunk(tokens)
    yield DONE


def _json(value: dict[str, Any]) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def _event(value: dict[str, Any]) -> bytes:
    return b"data: " + _json(value) + b"\n\n"
