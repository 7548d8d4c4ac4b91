"""One line: asked of the gateway, tried again where that helps, and turned into a line of output. Knows no Ray.

An error is an answer too. A model that is full fails no line: the batch gets narrower and the line waits.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable
from hashlib import blake2b

from cluster.errors import GenerationTimeout, HeliostatError, Overloaded
from cluster.types import LineAnswer, LineCall
from pipelines.batches.folder import Answered
from pipelines.batches.line import Line
from pipelines.sweeps.backoff import wait_s
from pipelines.sweeps.width import Width

FULL = 429
MESSAGE_LENGTH = 2000  # characters of an error that a line keeps

Ask = Callable[[LineCall], Awaitable[LineAnswer]]
"""Has one line answered. Raises a HeliostatError where no answer came."""


class LineRunner:
    """Runs the lines of one batch. owner, models: as in LineCall. timeout_s: of one try."""

    def __init__(
        self,
        ask: Ask,
        width: Width,
        *,
        batch_id: str,
        endpoint: str,
        owner: str,
        models: frozenset[str] | None,
        retries: int,
        timeout_s: float,
    ) -> None:
        self._ask = ask
        self._width = width
        self._batch_id = batch_id
        self._endpoint = endpoint
        self._owner = owner
        self._models = models
        self._retries = retries
        self._timeout_s = timeout_s

    async def run(self, line: Line) -> Answered:
        """The line's answer. Raises nothing but CancelledError."""
        attempts = waits = 0
        while True:
            async with self._width.slot() as generation:
                answer = await self._try(line)
            error = isinstance(answer, HeliostatError)
            full = isinstance(answer, Overloaded) or (not error and answer.status == FULL and answer.retryable)
            if full:
                self._width.narrow(generation)
            else:
                attempts += 1
                if not answer.retryable or attempts > self._retries:
                    if not error:
                        self._width.widen()
                    return self._answered(line, answer)
            waits += 1
            await asyncio.sleep(wait_s(waits, answer.retry_after_s))

    def left_out(self, line: Line, code: str, message: str) -> Answered:
        """The answer to a line that never ran."""
        return self._written(line, response=b"null", error={"code": code, "message": message})

    async def _try(self, line: Line) -> LineAnswer | HeliostatError:
        call = LineCall(
            endpoint=self._endpoint,
            body=line.body,
            request_id=request_id(self._batch_id, line.number),
            owner=self._owner,
            models=self._models,
        )
        try:
            async with asyncio.timeout(self._timeout_s):
                return await self._ask(call)
        except TimeoutError:
            return GenerationTimeout(f"no answer within {self._timeout_s:g} s")
        except HeliostatError as error:
            return error
        except Exception as error:  # noqa: BLE001 - one line's failure is a line of the error file, not the batch's end
            return HeliostatError(f"{type(error).__name__}: {error}")

    def _answered(self, line: Line, answer: LineAnswer | HeliostatError) -> Answered:
        if isinstance(answer, HeliostatError):
            message = answer.line()[:MESSAGE_LENGTH]
            return self._written(line, response=b"null", error={"code": answer.code, "message": message})
        asked = request_id(self._batch_id, line.number)
        body = answer.body
        if b"\n" in body:  # a line of JSONL has none
            body = json.dumps(json.loads(body)).encode()
        response = b'{"status_code": %d, "request_id": "%s", "body": %s}' % (answer.status, asked.encode(), body)
        return self._written(line, response=response, ok=answer.status < 400)

    def _written(
        self, line: Line, *, response: bytes, error: dict[str, str] | None = None, ok: bool = False
    ) -> Answered:
        head = json.dumps({"id": request_id(self._batch_id, line.number), "custom_id": line.custom_id}).encode()
        output = head[:-1] + b', "response": %s, "error": %s}' % (response, json.dumps(error).encode())
        return Answered(line=line.number, ok=ok, output=output)


def request_id(batch_id: str, number: int) -> str:
    """The id of a line's request: the same however often the line is tried."""
    return f"batch_req_{blake2b(f'{batch_id} {number}'.encode(), digest_size=12).hexdigest()}"
