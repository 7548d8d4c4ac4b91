"""Conversations, messages and stream sessions as their routes answer them."""

from datetime import UTC, datetime
from typing import Any

from cluster.errors import legacy_of
from cluster.stores.conversations import Conversation, Message
from cluster.stores.stream_sessions import ASSISTANT, StreamSession


def conversation(found: Conversation) -> dict[str, Any]:
    """A conversation."""
    return {
        "id": found.id,
        "title": found.title,
        "model": found.model,
        "systemPrompt": found.system_prompt,
        "metadata": dict(found.metadata),
        "createdAt": _time(found.created_at),
        "updatedAt": _time(found.updated_at),
    }


def session(found: StreamSession) -> dict[str, Any]:
    """A stream session."""
    return {
        "id": found.id,
        "conversationId": found.conversation_id,
        "messageId": found.message_id,
        "model": found.model,
        "provider": found.provider,
        "status": found.status,
        "createdAt": _time(found.created_at),
        "lastActivityAt": _time(found.last_activity_at),
        "tokenCount": found.token_count,
        "partialResponse": found.partial_response,
        "terminationReason": found.termination_reason,
    }


def message(found: Message, *, partial: str | None = None) -> dict[str, Any]:
    """A message. partial: what it says so far, where it is on its way."""
    said = {
        "id": found.id,
        "conversationId": found.conversation_id,
        "role": found.role,
        "content": found.content if partial is None else partial,
        "status": found.status,
        "createdAt": _time(found.created_at),
    }
    if found.role != ASSISTANT:
        return said
    return {
        **said,
        "model": found.model,
        "provider": found.provider,
        "finishReason": found.finish_reason,
        "terminationReason": found.termination_reason,
        "promptTokens": found.prompt_tokens,
        "completionTokens": found.completion_tokens,
        "droppedMessages": found.dropped,
    }


def ended(found: StreamSession, answer: Message) -> dict[str, Any]:
    """The end of an answer: the data of `done`, and of `error` beside the error itself."""
    usage = None
    if answer.prompt_tokens is not None and answer.completion_tokens is not None:
        usage = {
            "prompt_tokens": answer.prompt_tokens,
            "completion_tokens": answer.completion_tokens,
            "total_tokens": answer.prompt_tokens + answer.completion_tokens,
        }
    return {
        "session": session(found),
        "message": message(answer),
        "usage": usage,
        "finish_reason": answer.finish_reason,
    }


def error(found: StreamSession) -> dict[str, Any]:
    """Why an answer failed."""
    told = {
        "code": found.termination_reason,
        "message": found.error_message or "The answer failed",
        "hint": found.error_hint,
    }
    legacy = legacy_of(found.termination_reason or "")
    return {**told, "legacy_code": legacy} if legacy else told


def _time(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
