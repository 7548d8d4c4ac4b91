"""Conversations, messages and stream sessions as GraphQL shows them."""

from collections.abc import Mapping
from typing import Any, Self

import strawberry

from cluster.stores import conversations as talks
from cluster.stores.conversations import Conversation as Stored
from deployments.gateway.conversations import shown
from deployments.gateway.conversations.desk import MessagePage as Found
from deployments.gateway.graphql.asking import Asking, Info, asking, checked_page
from deployments.gateway.graphql.filled import filled
from deployments.gateway.graphql.scalars import Json, Moment

PATH = "/api/v1/conversations"
SESSIONS = "/api/v1/stream-sessions"


@strawberry.type(description="A question, or an answer: then it says what made it, what it cost and how it ended.")
class Message:
    """See the description."""

    id: strawberry.ID
    conversation_id: strawberry.ID
    role: str
    content: str = strawberry.field(description="Its text; of an answer on its way, what it says so far.")
    parts: Json | None = strawberry.field(description="All of it, as chat's parts, where it shows pictures.")
    status: str = strawberry.field(description="streaming, completed, terminated or error.")
    created_at: Moment
    model: str | None
    provider: str | None
    finish_reason: str | None
    termination_reason: str | None
    prompt_tokens: int | None
    completion_tokens: int | None
    dropped_messages: int | None = strawberry.field(description="Older ones that the prompt had no room for.")

    @classmethod
    def of(cls, said: Mapping[str, Any]) -> Self:
        """A message as the REST routes show it."""
        content = said["content"]
        texts = [part["text"] for part in content if part.get("type") == "text"] if _parted(content) else [content]
        return cls(
            id=said["id"],
            conversation_id=said["conversationId"],
            role=said["role"],
            content="\n".join(texts),
            parts=content if _parted(content) else None,
            status=said["status"],
            created_at=said["createdAt"],
            model=said.get("model"),
            provider=said.get("provider"),
            finish_reason=said.get("finishReason"),
            termination_reason=said.get("terminationReason"),
            prompt_tokens=said.get("promptTokens"),
            completion_tokens=said.get("completionTokens"),
            dropped_messages=said.get("droppedMessages"),
        )


@strawberry.type(description="Some of a conversation's messages, the oldest first.")
class MessagePage:
    """See the description."""

    items: list[Message]
    total: int
    limit: int
    offset: int


@strawberry.type(description="A conversation that the server remembers.")
class Conversation:
    """See the description."""

    id: strawberry.ID
    title: str | None
    model: str | None
    system_prompt: str | None
    metadata: Json
    created_at: Moment
    updated_at: Moment

    @strawberry.field(description="Its messages, the oldest first.")  # type: ignore[untyped-decorator]
    async def messages(self, info: Info, limit: int = 100, offset: int = 0) -> MessagePage:
        """A page of them."""
        return await messages_of(asking(info, "GET", PATH), self.id, limit, offset)

    @classmethod
    def of(cls, found: Stored) -> Self:
        """A stored one."""
        return filled(cls, shown.conversation(found))


@strawberry.type(description="Some of your conversations, what changed last first.")
class ConversationPage:
    """See the description."""

    items: list[Conversation]
    total: int
    limit: int
    offset: int


@strawberry.type(description="One answer, on its way or ended.")
class StreamSession:
    """See the description."""

    id: strawberry.ID
    conversation_id: strawberry.ID
    message_id: strawberry.ID
    model: str
    provider: str
    status: str = strawberry.field(description="active, completed, terminated or error.")
    created_at: Moment
    last_activity_at: Moment
    token_count: int
    partial_response: str
    termination_reason: str | None

    @classmethod
    def of(cls, said: Mapping[str, Any]) -> Self:
        """A session as the REST routes show it."""
        return filled(cls, said)


@strawberry.type(description="Tokens of one answer.")
class Usage:
    """See the description."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int


@strawberry.type(description="An answer that has ended.")
class Answer:
    """See the description."""

    session: StreamSession
    message: Message
    usage: Usage | None
    finish_reason: str | None

    @classmethod
    def of(cls, ended: Mapping[str, Any]) -> Self:
        """The end of an answer as the REST routes show it."""
        usage = ended["usage"]
        return cls(
            session=StreamSession.of(ended["session"]),
            message=Message.of(ended["message"]),
            usage=None if usage is None else Usage(**usage),
            finish_reason=ended["finish_reason"],
        )


async def page_of(asked: Asking, limit: int, offset: int) -> ConversationPage:
    """Some of the asker's conversations."""
    checked_page(limit, offset)
    total, found = await asked.desks.conversations.page(asked.owner, limit=limit, offset=offset)
    return ConversationPage(items=[Conversation.of(one) for one in found], total=total, limit=limit, offset=offset)


async def messages_of(asked: Asking, conversation_id: str, limit: int, offset: int) -> MessagePage:
    """Some messages of one of the asker's conversations. Raises ConversationNotFound."""
    checked_page(limit, offset)
    found = await asked.desks.conversations.messages(conversation_id, asked.owner, limit=limit, offset=offset)
    return MessagePage(items=_items(found), total=found.total, limit=limit, offset=offset)


def _items(found: Found) -> list[Message]:
    return [
        Message.of(shown.message(one, partial=found.partial.get(one.id) if one.status == talks.STREAMING else None))
        for one in found.messages
    ]


def _parted(content: Any) -> bool:
    return not isinstance(content, str)
