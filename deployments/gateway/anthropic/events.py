"""A stream of `chat.completion.chunk` events as Anthropic's events, each made as its chunk comes."""

import json
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing
from typing import Any

from deployments.gateway.anthropic.answer import TIER, head, stopped, usage

DONE = b"[DONE]"
PREFIX = b"data: "


async def events(chunks: AsyncIterator[bytes], *, request_id: str, model: str) -> AsyncGenerator[bytes, None]:
    """Translate server-sent events, several to an item, item by item.

    The first item is awaited before anything is sent, so that a failure up to then raises before any output.
    Closing it closes `chunks`.
    """
    writer = Writer(request_id=request_id, model=model)
    async with aclosing(chunks) as items:  # type: ignore[type-var]  # every stream here is a generator
        async for item in items:
            for line in item.split(b"\n\n"):
                if line.startswith(PREFIX) and not line.endswith(DONE):
                    writer.read(json.loads(line.removeprefix(PREFIX)))
            if written := writer.taken():
                yield written
    writer.end()
    yield writer.taken()


class Writer:
    """Reads one answer's chunks and writes its events; `taken` hands over what was written since."""

    def __init__(self, *, request_id: str, model: str) -> None:
        self._head = head(request_id=request_id, model=model)
        self._written: list[bytes] = []
        self._begun = False
        self._blocks = 0  # how many were begun; the last may be open
        self._open: str | None = None  # its type
        self._calls: dict[int, int] = {}  # OpenAI's index of a call, and its block
        self._blank = ""  # white space that may turn out to stand before a call, where it is no text
        self._last: Mapping[str, Any] = {}
        self._usage: Mapping[str, int] | None = None

    def taken(self) -> bytes:
        """The events written since the last call."""
        written, self._written = b"".join(self._written), []
        return written

    def read(self, chunk: Mapping[str, Any]) -> None:
        """Write what a chunk says."""
        if not self._begun:
            self._head["model"] = chunk.get("model") or self._head["model"]  # a fallback may have answered
            self._begin()
        self._usage = chunk.get("usage") or self._usage
        for choice in chunk["choices"]:
            delta = choice.get("delta") or {}
            if delta.get("content"):
                self._text(delta["content"])
            for call in delta.get("tool_calls") or ():
                self._call(call)
            if choice.get("finish_reason"):
                self._last = choice

    def end(self) -> None:
        """Write the end of the message."""
        self._begin()
        if self._blank and not self._blocks:
            self._say(self._blank)
        self._close()
        why = stopped(self._last, called=bool(self._calls))
        self._write("message_delta", delta=why, usage=usage(self._usage))
        self._write("message_stop")

    def _begin(self) -> None:
        if self._begun:
            return
        self._begun = True
        nothing: dict[str, Any] = {"content": [], "stop_reason": None, "stop_sequence": None}
        # The engine counts the prompt's tokens in its last chunk: they are in message_delta.
        self._write(
            "message_start", message={**self._head, **nothing, "usage": {**usage(None), "service_tier": TIER}}
        )
        self._write("ping")

    def _text(self, text: str) -> None:
        if self._open != "text":
            text = self._blank + text
            self._blank = "" if text.strip() else text
        if not self._blank:
            self._say(text)

    def _say(self, text: str) -> None:
        if self._open != "text":
            self._start({"type": "text", "text": ""})
        self._delta(self._blocks - 1, {"type": "text_delta", "text": text})

    def _call(self, call: Mapping[str, Any]) -> None:
        function = call.get("function") or {}
        if call["index"] not in self._calls:
            self._blank = ""
            self._start({"type": "tool_use", "id": call["id"], "name": function["name"], "input": {}})
            self._calls[call["index"]] = self._blocks - 1
        if function.get("arguments"):
            delta = {"type": "input_json_delta", "partial_json": function["arguments"]}
            self._delta(self._calls[call["index"]], delta)

    def _start(self, block: Mapping[str, Any]) -> None:
        self._close()
        self._open = block["type"]
        self._write("content_block_start", index=self._blocks, content_block=block)
        self._blocks += 1

    def _delta(self, index: int, delta: Mapping[str, Any]) -> None:
        self._write("content_block_delta", index=index, delta=delta)

    def _close(self) -> None:
        if self._open is not None:
            self._write("content_block_stop", index=self._blocks - 1)
            self._open = None

    def _write(self, kind: str, **fields: Any) -> None:
        self._written.append(event(kind, **fields))


def event(kind: str, **fields: Any) -> bytes:
    """One server-sent event."""
    data = json.dumps({"type": kind, **fields}, ensure_ascii=False, separators=(",", ":"))
    return f"event: {kind}\ndata: {data}\n\n".encode(errors="replace")
