"""Work that ends with its client: a hang-up or a deadline cancels it, wherever it is."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any, TypeVar

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from cluster.errors import GenerationTimeout, HeliostatError
from deployments.gateway.errors import internal, stream_event
from deployments.gateway.timing import broke

Result = TypeVar("Result")


async def while_connected(request: Request, work: Coroutine[Any, Any, Result], *, timeout_s: float) -> Result:
    """The result of `work`, cancelled when the client hangs up or the time is over.

    The request's body must have been read. Raises GenerationTimeout; CancelledError after a hang-up, which
    ends the request as there is nobody left to answer.
    """
    task = asyncio.ensure_future(work)
    watch = asyncio.ensure_future(_hung_up(request))
    try:
        await asyncio.wait({task, watch}, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            return task.result()
        if watch.done():
            raise asyncio.CancelledError
        raise _late(timeout_s)
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
) -> Response:
    """A response that passes ready server-sent events through.

    The first item is awaited before the status is sent, so that an error before it has its own status.
    One after it becomes a last event, as `failed` writes it. Starlette cancels the iteration on a hang-up.
    """
    deadline = asyncio.get_running_loop().time() + timeout_s
    try:
        async with asyncio.timeout_at(deadline):
            first = await anext(events, b"")
    except TimeoutError:
        raise _late(timeout_s) from None

    async def rest() -> AsyncIterator[bytes]:
        try:
            yield first
            async with asyncio.timeout_at(deadline):
                async for item in events:
                    yield item
        except TimeoutError:
            yield failed(broke(_late(timeout_s)))
        except HeliostatError as error:
            yield failed(broke(error))
        except Exception as error:  # noqa: BLE001 - the status is sent: all that is left is to say so and end
            yield failed(broke(internal(error)))
        finally:
            await _close(events)

    return StreamingResponse(rest(), media_type="text/event-stream", headers=headers)


async def _hung_up(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


async def _close(events: AsyncIterator[bytes]) -> None:
    close = getattr(events, "aclose", None)
    if close is not None:
        await close()


def _late(timeout_s: float) -> GenerationTimeout:
    return GenerationTimeout(
        f"The generation took longer than {timeout_s:g} s", hint="ask for fewer tokens, or raise the limit"
    )
