"""One cell: asked, timed, tried again where that helps, and turned into a row. Knows no Ray.

An error is a row too. A model that is full fails no cell: the sweep gets narrower and the cell waits.
"""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from cluster.errors import EngineFailure, GenerationTimeout, HeliostatError, Overloaded
from cluster.types import ChatCall, ModelCard, Priority
from pipelines.sweeps.backoff import wait_s
from pipelines.sweeps.plan import Cell
from pipelines.sweeps.score import COMPLETENESS, completeness
from pipelines.sweeps.width import Width

COLUMNS = ("temperature", "top_p", "max_tokens")  # parameters with a column of their own
MESSAGE_LENGTH = 2000  # characters of an error that a row keeps

Ask = Callable[[str, ChatCall], AsyncIterator[bytes]]
"""Streams one chat completion of a model, by its id, as server-sent events."""


@dataclass(slots=True, kw_only=True)
class Reply:
    """What a stream said so far. Times in milliseconds since the request left."""

    text: str = ""
    finish_reason: str | None = None
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    ttft_ms: float | None = None
    latency_ms: float | None = None

    def read(self, events: bytes, elapsed_ms: float) -> None:
        """Take in whole events. Raises EngineFailure for an event that tells an error."""
        for event in events.split(b"\n\n"):
            data = event.removeprefix(b"data: ").strip()
            if data and data != b"[DONE]":
                self._take(json.loads(data), elapsed_ms)

    def _take(self, chunk: dict[str, Any], elapsed_ms: float) -> None:
        if "error" in chunk:
            raise EngineFailure(str(chunk["error"].get("message", chunk["error"])))
        usage = chunk.get("usage")
        if usage:
            self.prompt_tokens = usage["prompt_tokens"]
            self.completion_tokens = usage["completion_tokens"]
        for choice in chunk.get("choices", ()):
            said = choice["delta"].get("content") or ""
            if said and self.ttft_ms is None:
                self.ttft_ms = elapsed_ms
            self.text += said
            self.finish_reason = choice.get("finish_reason") or self.finish_reason


class CellRunner:
    """Runs cells on served models, at background priority. timeout_s: of one try."""

    def __init__(
        self, ask: Ask, width: Width, *, cards: Mapping[str, ModelCard], retries: int, timeout_s: float
    ) -> None:
        self._ask = ask
        self._width = width
        self._cards = cards
        self._retries = retries
        self._timeout_s = timeout_s

    async def run(self, cell: Cell) -> dict[str, Any]:
        """The cell's row, in the columns of `cluster.stores.runs.schema`. Raises nothing but CancelledError."""
        attempts = waits = 0
        while True:
            async with self._width.slot() as generation:
                started, reply = datetime.now(UTC), Reply()
                error = await self._try(cell, reply)
            if error is None:
                self._width.widen()
                return self._row(cell, started, attempts + 1, reply, None)
            if isinstance(error, Overloaded):
                self._width.narrow(generation)
            else:
                attempts += 1
                if not error.retryable or attempts > self._retries:
                    return self._row(cell, started, attempts, reply, error)
            waits += 1
            await asyncio.sleep(wait_s(waits, error.retry_after_s))

    async def _try(self, cell: Cell, reply: Reply) -> HeliostatError | None:
        begun = time.perf_counter()
        call = ChatCall(body=body_of(cell), request_id=cell.id, priority=Priority.BACKGROUND)
        try:
            async with asyncio.timeout(self._timeout_s), aclosing(self._ask(cell.model, call)) as events:  # type: ignore[type-var]
                async for item in events:
                    reply.read(item, 1000 * (time.perf_counter() - begun))
            reply.latency_ms = 1000 * (time.perf_counter() - begun)
        except TimeoutError:
            return GenerationTimeout(f"no answer within {self._timeout_s:g} s (sweeps.cell_timeout_s)")
        except HeliostatError as error:
            return error
        except Exception as error:  # noqa: BLE001 - one cell's failure, whatever it is, is a row and not the sweep's end
            return HeliostatError(f"{type(error).__name__}: {error}")
        if reply.finish_reason is None:
            return EngineFailure("the stream ended before the answer did")
        return None

    def _row(
        self, cell: Cell, started: datetime, attempts: int, reply: Reply, error: HeliostatError | None
    ) -> dict[str, Any]:
        card = self._cards[cell.model]
        others = {name: value for name, value in cell.parameters.items() if name not in COLUMNS}
        row: dict[str, Any] = {
            "run_id": cell.run_id,
            "cell_id": cell.id,
            "ordinal": cell.ordinal,
            "model": cell.model,
            "model_revision": card.revision,
            "engine": card.engine,
            "prompt_id": cell.prompt_id,
            "prompt_hash": cell.prompt_hash,
            "prompt": cell.text,
            "system": cell.system,
            **{name: cell.parameters.get(name) for name in COLUMNS},
            "parameters": json.dumps(others),
            "repeat": cell.repeat,
            "seed": cell.seed,
            "started": started,
            "attempts": attempts,
        }
        if error is not None:
            return row | {"error_code": error.code, "error_message": error.line()[:MESSAGE_LENGTH]}
        return row | {
            "text": reply.text,
            "finish_reason": reply.finish_reason,
            "prompt_tokens": reply.prompt_tokens,
            "completion_tokens": reply.completion_tokens,
            "ttft_ms": reply.ttft_ms,
            "latency_ms": reply.latency_ms,
            "completeness": completeness(reply.text, reply.finish_reason),
            "completeness_metric": COMPLETENESS,
        }


def body_of(cell: Cell) -> bytes:
    """The cell's request, streamed so that the first token can be timed, with usage at the end."""
    messages = [{"role": "system", "content": cell.system}] if cell.system else []
    body: dict[str, Any] = {
        "model": cell.model,
        "messages": [*messages, {"role": "user", "content": cell.text}],
        **cell.parameters,
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    if cell.seed is not None:
        body["seed"] = cell.seed
    return json.dumps(body).encode()
