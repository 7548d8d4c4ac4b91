"""Work that ends with its client: a hang-up or a deadline cancels it, wherever it is.

A deadline is the given limit, or the client's own where that is sooner (routing/journey.py). It ends with its
client's credentials, too: a key that is revoked meanwhile is served for seconds more (auth/guard.py).
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine
from contextlib import aclosing
from typing import Any, TypeVar

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from cluster.errors import HeliostatError
from deployments.gateway.auth.guard import Guard
from deployments.gateway.errors import internal, stream_event
from deployments.gateway.routing.journey import late, within
from deployments.gateway.timing import broke

Result = TypeVar("Result")


async def while_connected(request: Request, work: Coroutine[Any, Any, Result], *, timeout_s: float) -> Result:
    """The result of `work`, cancelled when the client hangs up or the time is over.

    The request's body must have been read. Raises GenerationTimeout, DeadlineExceeded; InvalidApiKey where the
    credentials ended; CancelledError after a hang-up, which ends the request as there is nobody left to answer.
    """
    timeout_s = within(timeout_s)
    task = asyncio.ensure_future(work)
    watch = asyncio.ensure_future(_hung_up(request))
    try:
        with Guard(watch.cancel) as guard:
            await asyncio.wait({task, watch}, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            return task.result()
        if guard.lost is not None:
            raise guard.lost
        if watch.done():
            raise asyncio.CancelledError
        raise late(timeout_s)
    finally:
        watch.cancel()
        if not task.done():
            task.cancel()
            await asyncio.wait({task})


async def stream(
    events: AsyncIterator[bytes],
    *,
    timeout_s: float,
    headers: dict[str, str],
    failed: Callable[[HeliostatError], bytes] = stream_event,
    media_type: str = "text/event-stream",
) -> Response:
    """A response that passes ready server-sent events through.

    The first item is awaited before the status is sent, so that an error before it has its own status.
    One after it becomes a last event, as `failed` writes it. Starlette cancels the iteration on a hang-up.
    """
    timeout_s = within(timeout_s)
    deadline = asyncio.get_running_loop().time() + timeout_s
    limit, guard = _limited(deadline)
    try:
        async with limit:
            with guard:
                first = await anext(events, b"")
    except Exception as error:
        if limit.expired() or isinstance(error, TimeoutError):  # Ray has errors of its own for what was cancelled
            raise guard.lost or late(timeout_s) from None
        raise

    async def rest() -> AsyncIterator[bytes]:
        limit, guard = _limited(deadline)
        try:
            yield first
            async with limit:
                with guard:
                    async for item in events:
                        yield item
        except Exception as error:  # noqa: BLE001 - the status is sent: all that is left is to say so and end
            if limit.expired() or isinstance(error, TimeoutError):
                error = guard.lost or late(timeout_s)
            yield failed(broke(error if isinstance(error, HeliostatError) else internal(error)))
        finally:
            await _close(events)

    return StreamingResponse(rest(), media_type=media_type, headers=headers)


async def guarded(
    events: AsyncGenerator[bytes, None], *, failed: Callable[[HeliostatError], bytes] = stream_event
) -> AsyncGenerator[bytes, None]:
    """Events without a deadline, until their end or that of the credentials that they were asked for with."""
    limit, guard = _limited(None)
    try:
        async with limit, aclosing(events) as items:
            with guard:
                async for item in items:
                    yield item
    except Exception:
        if guard.lost is None:
            raise
        yield failed(broke(guard.lost))


def _limited(deadline: float | None) -> tuple[asyncio.Timeout, Guard]:
    """What ends at a moment of the loop's clock, or with the asker's credentials; both are to be entered."""
    limit = asyncio.timeout_at(deadline)
    return limit, Guard(lambda: limit.reschedule(asyncio.get_running_loop().time()))


async def _hung_up(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


async def _close(events: AsyncIterator[bytes]) -> None:
    close = getattr(events, "aclose", None)
    if close is not None:
        await close()
