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
from cluster.types import ChatAnswer, ChatCall, ModelCard, Priority
from pipelines.sweeps.backoff import wait_s
from pipelines.sweeps.budget import Price
from pipelines.sweeps.grounding import Ground, Grounded
from pipelines.sweeps.plan import Cell
from pipelines.sweeps.scoring.completeness import COMPLETENESS, completeness
from pipelines.sweeps.width import Width

COLUMNS = ("temperature", "top_p", "max_tokens")  # parameters with a column of their own
MESSAGE_LENGTH = 2000  # characters of an error that a row keeps

TIMED_WHOLE = frozenset({"vllm"})
"""Engines that say when a whole answer had its first token. Nobody reads a cell's tokens one by one, and to stream
them costs the replica more than all else it does for the cell; others are asked for streams to time them by."""

Ask = Callable[[str, ChatCall], AsyncIterator[ChatAnswer | bytes]]
"""One chat completion of a model, by its id: the whole answer, or server-sent events where `is_streamed`.

The first item may tell of its replica.
"""


def is_streamed(card: ModelCard) -> bool:
    """Whether a model's cells are asked for streams."""
    return card.engine not in TIMED_WHOLE


@dataclass(slots=True, kw_only=True)
class Reply:
    """What was said so far. latency_ms: since the request left.

    ttft_ms: of a stream since then, too; of a whole answer since it came to its replica.
    """

    text: str = ""
    finish_reason: str | None = None
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    ttft_ms: float | None = None
    latency_ms: float | None = None

    def abstain(self, answer: str) -> None:
        """Take the answer that stands where no passage is worth showing; no model was asked."""
        self.text, self.finish_reason = answer, "stop"
        self.prompt_tokens = self.completion_tokens = 0

    def whole(self, answer: ChatAnswer) -> None:
        """Take in a whole answer."""
        said = json.loads(answer.body)
        self._counted(said["usage"])
        for choice in said["choices"]:
            self.text += choice["message"].get("content") or ""
            self.finish_reason = choice.get("finish_reason")
        timing = answer.timing
        if timing.prefill_s is not None and self.text:
            self.ttft_ms = 1000 * (timing.prefill_s + (timing.queue_s or 0.0))

    def read(self, events: bytes, elapsed_ms: float) -> None:
        """Take in whole events. Raises EngineFailure for an event that tells an error."""
        for event in events.split(b"\n\n"):
            data = event.removeprefix(b"data: ").strip()
            if data and data != b"[DONE]":
                self._take(json.loads(data), elapsed_ms)

    def _take(self, chunk: dict[str, Any], elapsed_ms: float) -> None:
        if "error" in chunk:
            raise EngineFailure(str(chunk["error"].get("message", chunk["error"])))
        if usage := chunk.get("usage"):
            self._counted(usage)
        for choice in chunk.get("choices", ()):
            said = choice["delta"].get("content") or ""
            if said and self.ttft_ms is None:
                self.ttft_ms = elapsed_ms
            self.text += said
            self.finish_reason = choice.get("finish_reason") or self.finish_reason

    def _counted(self, usage: Mapping[str, int]) -> None:
        self.prompt_tokens = usage["prompt_tokens"]
        self.completion_tokens = usage["completion_tokens"]


class CellRunner:
    """Runs cells on served models, at background priority. widths: of each model. timeout_s: of one try.

    ground: how a cell with settings of retrieval gets its passages. versions: of the models' engines. prices: of
    the models that have one.
    """

    def __init__(
        self,
        ask: Ask,
        widths: Mapping[str, Width],
        *,
        cards: Mapping[str, ModelCard],
        retries: int,
        timeout_s: float,
        ground: Ground | None = None,
        versions: Mapping[str, str] | None = None,
        prices: Mapping[str, Price] | None = None,
    ) -> None:
        self._ask = ask
        self._widths = widths
        self._cards = cards
        self._retries = retries
        self._timeout_s = timeout_s
        self._ground = ground
        self._versions = versions or {}
        self._prices = prices or {}

    async def run(self, cell: Cell) -> dict[str, Any]:
        """The cell's row, in the columns of `cluster.stores.runs.schema`. Raises nothing but CancelledError."""
        attempts = waits = 0
        width = self._widths[cell.model]
        while True:
            async with width.slot() as generation:
                started, reply = datetime.now(UTC), Reply()
                error = await self._try(cell, reply)
            if error is None:
                width.widen()
                return self._row(cell, started, attempts + 1, reply, None)
            if isinstance(error, Overloaded):
                width.narrow(generation)
            else:
                attempts += 1
                if not error.retryable or attempts > self._retries:
                    return self._row(cell, started, attempts, reply, error)
            waits += 1
            await asyncio.sleep(wait_s(waits, error.retry_after_s))

    async def _try(self, cell: Cell, reply: Reply) -> HeliostatError | None:
        begun = time.perf_counter()
        try:
            async with asyncio.timeout(self._timeout_s):
                grounded = await self._grounded(cell)
                if grounded is not None and grounded.answer is not None:
                    reply.abstain(grounded.answer)
                else:
                    await self._answered(cell, grounded, reply, begun)
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

    async def _grounded(self, cell: Cell) -> Grounded | None:
        if cell.retrieval is None:
            return None
        assert self._ground is not None, "a sweep with settings of retrieval has something to search with"
        return await self._ground(cell, self._cards[cell.model].capabilities.context_length)

    async def _answered(self, cell: Cell, grounded: Grounded | None, reply: Reply, begun: float) -> None:
        stream = is_streamed(self._cards[cell.model])
        body = body_of(cell, grounded, stream=stream)
        call = ChatCall(body=body, request_id=cell.id, priority=Priority.BACKGROUND)
        async with aclosing(self._ask(cell.model, call)) as events:  # type: ignore[type-var]
            async for item in events:
                if isinstance(item, ChatAnswer):
                    width = self._widths[cell.model]
                    (width.people if item.people else width.nobody)()
                    if not stream:
                        reply.whole(item)
                        continue
                    item = item.body
                reply.read(item, 1000 * (time.perf_counter() - begun))

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
            "engine_version": self._versions.get(cell.model),
            "config_id": cell.config_id,
            "greedy": cell.greedy,
            "retrieval": None if cell.retrieval is None else json.dumps(cell.retrieval, sort_keys=True),
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
            "cost": self._cost(cell, reply),
        }

    def _cost(self, cell: Cell, reply: Reply) -> float | None:
        price = self._prices.get(cell.model)
        if price is None or reply.prompt_tokens is None or reply.completion_tokens is None:
            return None
        return price.of(reply.prompt_tokens, reply.completion_tokens)


def body_of(cell: Cell, grounded: Grounded | None = None, *, stream: bool = False) -> bytes:
    """The cell's request; streamed, with usage at the end."""
    messages = [{"role": "system", "content": cell.system}] if cell.system else []
    content = cell.text if grounded is None else grounded.message
    body: dict[str, Any] = {
        "model": cell.model,
        "messages": [*messages, {"role": "user", "content": content}],
        **cell.parameters,
    }
    if stream:
        body |= {"stream": True, "stream_options": {"include_usage": True}}
    if cell.seed is not None:
        body["seed"] = cell.seed
    return json.dumps(body).encode()
