"""What the APIs of conversations do, REST and GraphQL: the owner's own is read and written, and no other's."""

import re
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Engine

from cluster.settings.tree import Settings
from cluster.stores import conversations as talks
from cluster.stores import stream_sessions
from cluster.stores.conversations import Conversation, Message
from cluster.stores.stream_sessions import StreamSession
from deployments.clients import Backends
from deployments.gateway.chats import Chats
from deployments.gateway.conversations import shown
from deployments.gateway.conversations.live import Live
from deployments.gateway.conversations.records import Records, Stores
from deployments.gateway.conversations.sessions import Sessions, new_id
from deployments.gateway.conversations.wire import ConversationRequest, MessageRequest
from deployments.gateway.principal import Principal

STORING_S = 30.0  # for a database that is slow just then
ID = re.compile(r"[a-z]+_[0-9a-f]{24}")
FIELDS = {"title": "title", "model": "model", "systemPrompt": "system_prompt", "metadata": "metadata"}


@dataclass(frozen=True, slots=True, kw_only=True)
class MessagePage:
    """Some of a conversation's messages, the oldest first. partial: what those on their way say so far, by id."""

    total: int
    messages: tuple[Message, ...]
    partial: dict[str, str]


class Desk:
    """One gateway's conversations. sessions: what answers in them."""

    def __init__(self, backends: Backends, settings: Settings, chats: Chats, engine: Engine) -> None:
        self._models = backends.models
        self._chats = chats
        self._records = Records(engine, settings)
        self.sessions = Sessions(backends, settings, chats, self._records)

    async def create(self, wanted: ConversationRequest, principal: Principal) -> Conversation:
        """Begin a conversation. Raises ModelNotFound."""
        given, identity = self._values(wanted, principal), new_id("conv")
        return await self._records.do(
            lambda stores: stores.conversations.create(id=identity, owner=principal.owner, values=given)
        )

    async def page(self, owner: str, *, limit: int, offset: int) -> tuple[int, list[Conversation]]:
        """How many there are, and some of them, what changed last first."""
        total, found = await self._records.do(
            lambda stores: stores.conversations.page(owner=owner, limit=limit, offset=offset)
        )
        return total, list(found)

    async def find(self, identity: str, owner: str) -> Conversation:
        """Raises ConversationNotFound."""
        _check(identity)
        return await self._records.do(lambda stores: stores.conversations.get(identity, owner=owner))

    async def change(self, identity: str, wanted: ConversationRequest, principal: Principal) -> Conversation:
        """Change some of its fields. Raises ConversationNotFound, ModelNotFound."""
        given = self._values(wanted, principal)
        _check(identity)
        return await self._records.do(
            lambda stores: stores.conversations.change(identity, owner=principal.owner, values=given)
        )

    async def remove(self, identity: str, owner: str) -> None:
        """Forget it and all in it. Raises ConversationNotFound."""
        _check(identity)
        await self._records.do(lambda stores: stores.conversations.remove(identity, owner=owner))

    async def messages(self, identity: str, owner: str, *, limit: int, offset: int) -> MessagePage:
        """Raises ConversationNotFound."""
        _check(identity)

        def read(stores: Stores) -> MessagePage:
            # What answers say so far is read first: one that ends in between is then read whole.
            partial = dict(stores.sessions.partial(identity))
            total, found = stores.conversations.messages(identity, owner=owner, limit=limit, offset=offset)
            return MessagePage(total=total, messages=tuple(found), partial=partial)

        return await self._records.do(read, settled=owner)

    async def say(
        self, identity: str, wanted: MessageRequest, *, request_id: str, principal: Principal
    ) -> tuple[StreamSession, Live]:
        """Store a question and begin to answer it. Raises what `Sessions.begin` raises."""
        _check(identity)
        return await self.sessions.begin(identity, wanted, request_id=request_id, principal=principal)

    async def whole(self, session: StreamSession, live: Live) -> dict[str, Any]:
        """The end of an answer, as `shown.ended` shows it. Raises the error that it ended with."""
        async with aclosing(self.sessions.follower.told(session, after=0)) as news:
            async for _ in news:
                pass
        if live.error is not None:
            raise live.error

        def read(stores: Stores) -> dict[str, Any]:
            found = stores.sessions.get(session.id, owner=session.owner)
            answer = stores.conversations.message(found.message_id)
            assert answer is not None  # it goes with its session
            return shown.ended(found, answer)

        return await self._records.do(read)

    @property
    def wait_s(self) -> float:
        """How long `whole` may take: the generation has its own time limit, this one is for storing its end."""
        return self._chats.timeout_s + STORING_S

    async def session(self, identity: str, owner: str) -> StreamSession:
        """Raises StreamSessionNotFound."""
        if ID.fullmatch(identity) is None:
            raise stream_sessions.unknown(identity)
        return await self.sessions.find(identity, owner=owner)

    async def stop(self, identity: str, owner: str) -> StreamSession:
        """End a session, wherever it runs. Raises StreamSessionNotFound."""
        if ID.fullmatch(identity) is None:
            raise stream_sessions.unknown(identity)
        return await self.sessions.stop(identity, owner=owner)

    async def session_page(
        self, owner: str, *, status: str | None, conversation_id: str | None, limit: int, offset: int
    ) -> tuple[int, list[StreamSession]]:
        """How many sessions there are, and some of them, the newest first. Raises ConversationNotFound."""
        if conversation_id is not None:
            _check(conversation_id)
        total, found = await self._records.do(
            lambda stores: stores.sessions.page(
                owner=owner, status=status, conversation_id=conversation_id, limit=limit, offset=offset
            ),
            settled=owner,
        )
        return total, list(found)

    def _values(self, wanted: ConversationRequest, principal: Principal) -> dict[str, Any]:
        """What a body says, by column. Raises ModelNotFound."""
        named = None if wanted.model is None or self._chats.auto.means(wanted.model) else wanted.model
        if named is not None and not (named in self._models and principal.may_ask(named)):
            raise self._chats.unknown(named, principal)
        given = {FIELDS[name]: getattr(wanted, name) for name in wanted.model_fields_set}
        return given if given.get("metadata", {}) is not None else {**given, "metadata": {}}


def _check(identity: str) -> None:
    """Raises ConversationNotFound for what can be no conversation's id."""
    if ID.fullmatch(identity) is None:
        raise talks.unknown(identity)
