"""llama.cpp's chunks as OpenAI's chat completions, whole or streamed, and as the text of raw completions.

Stop strings are watched for here: llama.cpp does not tell which one it met.
"""

import asyncio
import json
import time
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar
from uuid import uuid4

from cluster.engines.completions import DONE, Delta, Writer
from cluster.engines.stopping import StopMatcher
from cluster.timing import tell
from cluster.types import EngineTiming

Chunk = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """What one choice says next. calls: parts of tool calls. figures: log probabilities of its new tokens.

    tokens: how many it took. finish_reason, met: as in Delta.
    """

    index: int
    text: str = ""
    calls: tuple[dict[str, Any], ...] = ()
    figures: tuple[dict[str, Any], ...] | None = None
    tokens: int = 0
    finish_reason: str | None = None
    met: str | None = None

    @property
    def delta(self) -> dict[str, Any]:
        """As in a stream."""
        return ({"content": self.text} if self.text else {}) | (
            {"tool_calls": list(self.calls)} if self.calls else {}
        )

    @property
    def logprobs(self) -> dict[str, Any] | None:
        """As in a stream."""
        return None if self.figures is None else {"content": list(self.figures), "refusal": None}


class Told(Protocol):
    """A part of a choice: a Piece or a Delta."""

    @property
    def finish_reason(self) -> str | None:
        """Set on the choice's last part."""
        ...


Part = TypeVar("Part", bound=Told)


class ChatReader:
    """Reads the chunks of one choice of a chat. top: how many likeliest tokens go with each, None without any.

    named: whether the request names the tool; then a call ends with `stop`.
    """

    def __init__(self, index: int, stops: Sequence[str], *, top: int | None, named: bool) -> None:
        self._index, self._top, self._named = index, top, named
        self._matcher = StopMatcher(stops)
        self._tokens = 0

    def read(self, chunk: Chunk) -> Piece | None:
        """What a chunk adds, None where it adds nothing."""
        choice = next(iter(chunk.get("choices") or ()), None)
        if choice is None:
            return None
        delta = choice.get("delta") or {}
        text, calls = self._matcher.push(delta.get("content") or ""), tuple(delta.get("tool_calls") or ())
        reason = choice.get("finish_reason")
        if self._matcher.stopped:
            reason = "stop"
        elif reason is not None:
            text += self._matcher.flush()
            reason = "stop" if reason == "tool_calls" and self._named else reason
        return Piece(
            index=self._index,
            text=text,
            calls=calls,
            figures=self._figures(choice),
            tokens=self._new((chunk.get("timings") or {}).get("predicted_n")),
            finish_reason=reason,
            met=self._matcher.met,
        )

    def _new(self, counted: Any) -> int:
        """How many tokens are new. counted: those of the choice up to here."""
        before, self._tokens = self._tokens, max(self._tokens, counted or 0)
        return self._tokens - before

    def _figures(self, choice: Chunk) -> tuple[dict[str, Any], ...] | None:
        if self._top is None:
            return None
        held = (choice.get("logprobs") or {}).get("content") or ()
        return tuple(
            _figure(each) | {"top_logprobs": [_figure(top) for top in each["top_logprobs"][: self._top]]}
            for each in held
        )


class CallReader:
    """Reads the chunks of one choice that is a forced call, or several; they come whole, at its end."""

    def __init__(self, index: int, stops: Sequence[str], *, named: bool) -> None:
        self._texts = TextReader(index, stops)
        self._index, self._named = index, named
        self._said = ""

    def read(self, chunk: Chunk) -> Piece | None:
        """What a chunk adds, None where it adds nothing."""
        part = self._texts.read(chunk)
        if part is None:
            return None
        self._said += part.text
        if part.finish_reason is None:
            return Piece(index=self._index, tokens=part.tokens)
        calls = _calls(self._said)
        called = "stop" if self._named else "tool_calls"
        return Piece(
            index=self._index,
            text="" if calls else self._said,
            calls=calls,
            tokens=part.tokens,
            finish_reason=called if calls and part.finish_reason == "stop" else part.finish_reason,
            met=part.met,
        )


class TextReader:
    """Reads the chunks of one choice of a raw completion, in llama.cpp's own shape."""

    def __init__(self, index: int, stops: Sequence[str]) -> None:
        self._index = index
        self._matcher = StopMatcher(stops)
        self._tokens = 0

    def read(self, chunk: Chunk) -> Delta | None:
        """What a chunk adds, None where it adds nothing."""
        if "content" not in chunk:
            return None
        text, reason = self._matcher.push(chunk["content"]), None
        if self._matcher.stopped:
            reason = "stop"
        elif chunk.get("stop"):
            text, reason = text + self._matcher.flush(), "length" if chunk.get("stop_type") == "limit" else "stop"
        before, self._tokens = self._tokens, max(self._tokens, chunk.get("tokens_predicted") or 0)
        return Delta(
            index=self._index,
            text=text,
            tokens=self._tokens - before,
            finish_reason=reason,
            met=self._matcher.met,
        )


async def until_finished(
    chunks: AsyncGenerator[Chunk, None], reader: "ChatReader | CallReader | TextReader"
) -> AsyncGenerator[Any, None]:
    """What a reader makes of the chunks, up to the choice's last part; llama.cpp then need say no more."""
    async with aclosing(chunks) as open_chunks:
        async for chunk in open_chunks:
            part = reader.read(chunk)
            if part is not None:
                yield part
                if part.finish_reason is not None:
                    return


async def together(sources: Sequence[AsyncGenerator[Part, None]]) -> AsyncGenerator[Part, None]:
    """Several choices as they come. The first failure ends all of them, and so does closing this."""
    if len(sources) == 1:
        async with aclosing(sources[0]) as only:
            async for part in only:
                yield part
        return
    queue: asyncio.Queue[Part | BaseException | None] = asyncio.Queue()
    tasks = [asyncio.create_task(_pour(source, queue)) for source in sources]
    try:
        left = len(tasks)
        while left:
            said = await queue.get()
            if said is None:
                left -= 1
            elif isinstance(said, BaseException):
                raise said
            else:
                yield said
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _pour(source: AsyncGenerator[Part, None], queue: "asyncio.Queue[Part | BaseException | None]") -> None:
    try:
        async with aclosing(source) as parts:
            async for part in parts:
                queue.put_nowait(part)
        queue.put_nowait(None)
    except Exception as error:  # noqa: BLE001 - it is raised where the queue is read
        queue.put_nowait(error)


@dataclass(slots=True)
class _Message:
    """A choice's message as it grows."""

    text: str = ""
    calls: list[dict[str, Any]] = field(default_factory=list)
    figures: list[dict[str, Any]] | None = None
    end: Piece | None = None

    def add(self, piece: Piece) -> None:
        self.text += piece.text
        for call in piece.calls:
            self._add_call(call)
        if piece.figures is not None:
            self.figures = [*(self.figures or ()), *piece.figures]
        self.end = piece if piece.finish_reason is not None else self.end

    def _add_call(self, part: Mapping[str, Any]) -> None:
        at, function = int(part.get("index") or 0), part.get("function") or {}
        while len(self.calls) <= at:
            self.calls.append({"id": "", "type": "function", "function": {"name": "", "arguments": ""}})
        call = self.calls[at]
        call["id"] = part.get("id") or call["id"]
        call["function"]["name"] += function.get("name") or ""
        call["function"]["arguments"] += function.get("arguments") or ""

    def choice(self, index: int) -> dict[str, Any]:
        """As in a whole answer."""
        said: dict[str, Any] = {"role": "assistant", "content": self.text, "refusal": None}
        if self.calls:
            said |= {"content": self.text or None, "tool_calls": self.calls}
        return {
            "index": index,
            "message": said,
            "logprobs": None if self.figures is None else {"content": self.figures, "refusal": None},
            "finish_reason": self.end.finish_reason if self.end else None,
            "stop_reason": self.end.met if self.end else None,
        }


async def whole_chat(writer: Writer, choices: int, pieces: AsyncGenerator[Piece, None]) -> bytes:
    """Collect all pieces into one `chat.completion`."""
    messages, tokens = [_Message() for _ in range(choices)], 0
    async with aclosing(_timed(pieces)) as timed:
        async for piece in timed:
            messages[piece.index].add(piece)
            tokens += piece.tokens
    return writer.object_of([message.choice(index) for index, message in enumerate(messages)], tokens)


async def chat_events(
    writer: Writer, choices: int, pieces: AsyncGenerator[Piece, None]
) -> AsyncGenerator[bytes, None]:
    """Turn pieces into events as they come; the first is awaited, so that a failure up to then raises."""
    opened, tokens = False, 0
    async with aclosing(_timed(pieces)) as timed:
        async for piece in timed:
            if not opened:
                opened = True
                for index in range(choices):
                    yield writer.opening(index)
            tokens += piece.tokens
            base = {"index": piece.index, "logprobs": piece.logprobs, "finish_reason": None}
            if piece.delta or piece.figures:
                yield writer.event_of(base | {"delta": piece.delta})
            if piece.finish_reason is not None:
                end: dict[str, Any] = {
                    "delta": {},
                    "logprobs": None,
                    "finish_reason": piece.finish_reason,
                    "stop_reason": piece.met,
                }
                yield writer.event_of(base | end)
    if writer.include_usage:
        yield writer.usage_chunk(tokens)
    yield DONE


async def _timed(pieces: AsyncGenerator[Piece, None]) -> AsyncGenerator[Piece, None]:
    """The same, telling when the first came."""
    begun, opened = time.monotonic(), False
    async with aclosing(pieces) as open_pieces:
        async for piece in open_pieces:
            if not opened:
                opened = True
                tell(EngineTiming(prefill_s=time.monotonic() - begun))
            yield piece


def _calls(text: str) -> tuple[dict[str, Any], ...]:
    """The calls in a text, as parts of a stream; one that was cut off is none."""
    found: list[dict[str, Any]] = []
    at, decoder = text.find("{"), json.JSONDecoder()
    while at >= 0:
        try:
            made, end = decoder.raw_decode(text, at)
        except ValueError:
            break
        arguments = json.dumps(made["arguments"], ensure_ascii=False)
        function = {"name": made["name"], "arguments": arguments}
        found.append({"index": len(found), "id": f"call_{uuid4().hex}", "type": "function", "function": function})
        at = text.find("{", end)
    return tuple(found)


def _figure(held: Chunk) -> dict[str, Any]:
    return {"token": held["token"], "bytes": held.get("bytes"), "logprob": held["logprob"]}
