"""A response as server-sent events, made from the chat completion's while it runs."""

import asyncio
from collections.abc import AsyncIterator

from cluster.errors import GenerationTimeout, HeliostatError
from deployments.gateway.chats import Chats
from deployments.gateway.errors import internal
from deployments.gateway.openai.responses import output
from deployments.gateway.openai.responses.events import Events
from deployments.gateway.openai.responses.keeper import Keeper
from deployments.gateway.openai.responses.translate import as_sent
from deployments.gateway.openai.responses.turn import Turn


async def events(turn: Turn, chats: Chats, keeper: Keeper) -> AsyncIterator[bytes]:
    """The response's events, several to an item; closing it stops the generation.

    An error before the first token is raised, with the field's name of this API; a later one ends the stream with
    `response.failed`. A response that is stored is so before its last event is sent.
    """
    deadline = asyncio.get_running_loop().time() + chats.timeout_s
    writer = Events(turn.begun, len(turn.items), turn.searched)
    source = chats.events(turn.chat)
    try:
        with as_sent(turn.sent):
            piece = await _next(source, deadline)
        # Not waited for: a commit takes longer than a token.
        kept = keeper.begin(turn.stored(turn.begun)) if turn.wanted.stored else None
        try:
            yield writer.opening() + writer.feed(piece or b"")
            while (piece := await _next(source, deadline)) is not None:
                if due := writer.feed(piece):
                    yield due
            yield writer.closing()
            body = writer.finished()
            if kept is not None:
                await kept.end(body)
            yield writer.ending(body)
        except (asyncio.CancelledError, GeneratorExit):
            if kept is not None:
                kept.end_later(output.cancelled(turn.begun, writer.written()))
            raise
        except Exception as error:  # noqa: BLE001 - the status is sent: all that is left is to say so and end
            told = error if isinstance(error, HeliostatError) else internal(error)
            body = output.failed(turn.begun, told, writer.written())
            if kept is not None:
                await asyncio.wait({kept.end_later(body)})  # it may be the store that fails: that is logged
            yield writer.broken(told, body)
    finally:
        close = getattr(source, "aclose", None)
        if close is not None:
            await close()


async def _next(source: AsyncIterator[bytes], deadline: float) -> bytes | None:
    """The next item, None at the end. Raises GenerationTimeout once the loop's time is past the deadline."""
    try:
        async with asyncio.timeout_at(deadline):
            return await anext(source, None)
    except TimeoutError:
        raise GenerationTimeout("The generation took too long", hint="ask for fewer tokens") from None
