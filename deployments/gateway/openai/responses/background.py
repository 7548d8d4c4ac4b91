"""Responses that run without a connection: whoever asked reads them later, or cancels them.

One runs in the gateway that took it; the database says how it stands, so any gateway can answer for it. It looks
there now and then, and stops when it has been cancelled or deleted through another. If its gateway ends, it is
lost, and reading it says so once its time is over.
"""

import asyncio
import logging

from pydantic_core import from_json

from cluster.errors import GenerationTimeout, HeliostatError, Overloaded
from deployments.gateway.auth.guard import Guard
from deployments.gateway.chats import Chats
from deployments.gateway.errors import internal
from deployments.gateway.openai.responses import output
from deployments.gateway.openai.responses.keeper import Keeper
from deployments.gateway.openai.responses.output import Body
from deployments.gateway.openai.responses.turn import Turn

logger = logging.getLogger(__name__)

RETRY_AFTER_S = 5.0  # background work takes seconds; a place comes free when one ends


class Background:
    """The background responses of this gateway. most: how many at once. watch_s: between looks at the database."""

    def __init__(self, chats: Chats, keeper: Keeper, *, most: int, watch_s: float) -> None:
        self._chats = chats
        self._keeper = keeper
        self._most = most
        self._watch_s = watch_s
        self._running: dict[str, asyncio.Task[None]] = {}

    async def start(self, turn: Turn) -> Body:
        """Store the response and begin to work on it. Raises Overloaded."""
        if len(self._running) >= self._most:
            hint = "wait until one has ended"
            raise Overloaded(
                f"{self._most} background responses are running", hint=hint, retry_after_s=RETRY_AFTER_S
            )
        identity = turn.begun["id"]
        adding = asyncio.create_task(self._keeper.add(turn.stored(turn.begun)))
        task = self._running[identity] = asyncio.create_task(self._run(turn, adding))
        task.add_done_callback(lambda done: self._ended(identity, done))
        await asyncio.shield(adding)
        return turn.begun

    def stop(self, response_id: str) -> None:
        """Stop the work on a response, where it is done here."""
        task = self._running.get(response_id)
        if task is not None:
            task.cancel()

    async def _run(self, turn: Turn, adding: asyncio.Task[None]) -> None:
        await adding
        work = asyncio.ensure_future(self._chats.whole(turn.chat))
        try:
            with Guard(work.cancel) as guard:  # it outlives its request, and not the key of it
                wanted = await self._watched(turn.begun["id"], work)
            if guard.lost is not None:
                raise guard.lost
            if not wanted:
                return
            body = output.answered(turn.begun, from_json(work.result()), len(turn.items), searched=turn.searched)
        except Exception as error:  # noqa: BLE001 - nobody waits for it: the stored response says what went wrong
            told = error if isinstance(error, HeliostatError) else internal(error)
            body = output.failed(turn.begun, told)
        finally:
            if not work.done():
                work.cancel()
                await asyncio.wait({work})
        await self._keeper.end(turn.begun["id"], body)

    async def _watched(self, response_id: str, work: asyncio.Future[bytes]) -> bool:
        """Wait until the work is done; False when nobody wants it any more. Raises GenerationTimeout."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._chats.timeout_s
        while True:
            left = deadline - loop.time()
            await asyncio.wait({work}, timeout=max(0.0, min(self._watch_s, left)))
            if work.done():
                return True
            if loop.time() >= deadline:
                raise GenerationTimeout("The generation took too long", hint="ask for fewer tokens")
            if not await self._keeper.in_progress(response_id):
                return False

    def _ended(self, response_id: str, task: asyncio.Task[None]) -> None:
        self._running.pop(response_id, None)
        if not task.cancelled() and (error := task.exception()) is not None:
            logger.error("a background response could not be stored", exc_info=error)
