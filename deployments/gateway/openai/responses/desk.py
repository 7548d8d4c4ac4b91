"""What the routes of the Responses API do."""

from collections.abc import Mapping
from typing import Any

from pydantic_core import from_json, to_json
from sqlalchemy import Engine
from starlette.requests import Request
from starlette.responses import Response

from cluster.errors import BadRequest
from cluster.settings.tree import Settings
from cluster.stores.responses import StoredResponse
from deployments.gateway import lifetimes
from deployments.gateway.chats import Chats
from deployments.gateway.openai.responses import output, streaming, turn
from deployments.gateway.openai.responses.background import Background
from deployments.gateway.openai.responses.file_search import FileSearch
from deployments.gateway.openai.responses.keeper import Keeper
from deployments.gateway.openai.responses.translate import as_sent
from deployments.gateway.openai.responses.turn import Turn
from deployments.gateway.principal import principal_of

STREAM_HEADERS = {"cache-control": "no-cache", "x-accel-buffering": "no"}  # no proxy may hold tokens back
STREAM_GRACE_S = 5.0  # a stream ends itself in time, with this API's own event; this is for one that cannot


class Desk:
    """Answers, stores, lists and forgets responses. search: of files; None where there are no documents.

    watch_s: as in Background.
    """

    def __init__(
        self,
        settings: Settings,
        chats: Chats,
        engine: Engine,
        *,
        search: FileSearch | None = None,
        watch_s: float = 1.0,
    ) -> None:
        self._chats = chats
        self._search = search
        self.keeper = Keeper(engine, settings, chats.timeout_s)
        self._background = Background(chats, self.keeper, most=settings.responses.max_background, watch_s=watch_s)

    async def create(self, request: Request) -> Response:
        """Answer one request, whole or streamed. Raises what `turn.read` and engines raise."""
        asked = await turn.read(request, self._chats, self.keeper, self._search)
        if asked.wanted.stream:
            events = streaming.events(asked, self._chats, self.keeper)
            timeout_s = self._chats.timeout_s + STREAM_GRACE_S
            return await lifetimes.stream(events, timeout_s=timeout_s, headers=STREAM_HEADERS)
        if asked.wanted.background:
            return _json(await self._background.start(asked))
        return await self._whole(request, asked)

    async def show(self, request: Request, response_id: str) -> Response:
        """One stored response. Raises ResponseNotFound."""
        return _json((await self._get(request, response_id)).body)

    async def remove(self, request: Request, response_id: str) -> Response:
        """Forget one; one that still runs in the background stops. Raises ResponseNotFound."""
        await self.keeper.remove(principal_of(request).owner, response_id)
        self._background.stop(response_id)
        return _json({"id": response_id, "object": "response", "deleted": True})

    async def cancel(self, request: Request, response_id: str) -> Response:
        """Stop one in the background; one that has ended is shown as it is. Raises ResponseNotFound, BadRequest."""
        found = await self._get(request, response_id)
        if not found.body["background"]:
            hint = "close the connection of any other"
            raise BadRequest("Only a response that was created with background: true can be cancelled", hint=hint)
        if found.status != output.IN_PROGRESS:
            return _json(found.body)
        await self.keeper.end(response_id, output.cancelled(dict(found.body)))
        self._background.stop(response_id)
        return _json((await self._get(request, response_id)).body)

    async def items(
        self, request: Request, response_id: str, *, limit: int, order: str, after: str | None
    ) -> dict[str, Any]:
        """A page of the items of one's request. Raises ResponseNotFound, BadRequest."""
        found = await self._get(request, response_id)
        listed = list(found.input_items)
        if order == "desc":
            listed.reverse()
        if after is not None:
            ids = [item["id"] for item in listed]
            if after not in ids:
                raise BadRequest(f"The response has no input item {after[:64]!r}", param="after")
            listed = listed[ids.index(after) + 1 :]
        page = listed[:limit]
        return {
            "object": "list",
            "data": page,
            "first_id": page[0]["id"] if page else None,
            "last_id": page[-1]["id"] if page else None,
            "has_more": len(listed) > limit,
        }

    async def _whole(self, request: Request, asked: Turn) -> Response:
        with as_sent(asked.sent):
            work = self._chats.whole(asked.chat)
            answer = await lifetimes.while_connected(request, work, timeout_s=self._chats.timeout_s)
        body = output.answered(asked.begun, from_json(answer), len(asked.items), searched=asked.searched)
        if asked.wanted.stored:
            await self.keeper.add(asked.stored(body))
        return _json(body)

    async def _get(self, request: Request, response_id: str) -> StoredResponse:
        return await self.keeper.get(principal_of(request).owner, response_id)


def _json(content: Mapping[str, Any]) -> Response:
    return Response(to_json(content), media_type="application/json")
