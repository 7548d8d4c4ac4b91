"""What mutations and subscriptions are given, and the bodies of the REST routes that it stands for."""

import dataclasses
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import strawberry
from pydantic_core import to_json

from cluster.errors import HeliostatError
from deployments.gateway.conversations.wire import ConversationRequest, MessageRequest
from deployments.gateway.graphql.scalars import Json
from deployments.gateway.parsing import parse


@strawberry.input(description="A new conversation. model: null takes the server's choice.")
class ConversationInput:
    """See the description."""

    title: str | None = strawberry.UNSET
    model: str | None = strawberry.UNSET
    system_prompt: str | None = strawberry.UNSET
    metadata: Json | None = strawberry.field(default=strawberry.UNSET, description="Texts by name, your own.")

    def body(self) -> ConversationRequest:
        """The REST route's body. Raises BadRequest."""
        said = _said(self)
        if "system_prompt" in said:
            said["systemPrompt"] = said.pop("system_prompt")
        return parse(ConversationRequest, to_json(said))


@strawberry.input(description="A question, and how it is to be answered: chat's parameters.")
class MessageInput:
    """See the description."""

    conversation_id: strawberry.ID
    content: str
    images: list[str] | None = strawberry.field(
        default=strawberry.UNSET, description="Pictures: data URLs, or addresses that may be asked."
    )
    model: str | None = strawberry.field(default=strawberry.UNSET, description="null: the conversation's.")
    max_tokens: int | None = strawberry.UNSET
    temperature: float | None = strawberry.UNSET
    top_p: float | None = strawberry.UNSET
    top_k: int | None = strawberry.UNSET
    min_p: float | None = strawberry.UNSET
    stop: list[str] | None = strawberry.UNSET
    seed: int | None = strawberry.UNSET
    frequency_penalty: float | None = strawberry.UNSET
    presence_penalty: float | None = strawberry.UNSET
    repetition_penalty: float | None = strawberry.UNSET
    min_tokens: int | None = strawberry.UNSET
    ignore_eos: bool | None = strawberry.UNSET
    response_format: Json | None = strawberry.UNSET
    user: str | None = strawberry.UNSET

    def body(self, *, stream: bool) -> MessageRequest:
        """The REST route's body. Raises BadRequest."""
        said = {name: value for name, value in _said(self).items() if value is not None}
        del said["conversation_id"]
        pictures = said.pop("images", None) or []
        if pictures:
            shown = [{"type": "image_url", "image_url": {"url": url}} for url in pictures]
            said["content"] = [{"type": "text", "text": self.content}, *shown]
        return parse(MessageRequest, to_json({**said, "stream": stream}))


@strawberry.input(description="A batch of /v1/batches: a file of requests that was uploaded to /v1/files.")
class RequestsInput:
    """See the description."""

    input_file_id: strawberry.ID
    endpoint: str
    completion_window: str = "24h"
    metadata: Json | None = strawberry.UNSET

    def body(self) -> bytes:
        """The REST route's body, not checked yet."""
        return to_json(_said(self))


@strawberry.input(one_of=True, description="Which batch to start: exactly one of these.")
class BatchInput:
    """See the description."""

    experiment: strawberry.ID | None = strawberry.field(
        default=strawberry.UNSET, description="An experiment's number: it runs, or goes on where it ended early."
    )
    spec: Json | None = strawberry.field(
        default=strawberry.UNSET, description="A new experiment, as POST /api/experiments/batch takes it."
    )
    requests: RequestsInput | None = strawberry.UNSET


@contextmanager
def names_as_sent() -> Iterator[None]:
    """What is wrong in a REST body is named as GraphQL's client wrote it: `maxTokens`, not `max_tokens`."""
    try:
        yield
    except HeliostatError as error:
        error.param = error.param and _camel(error.param)
        raise


def _said(given: Any) -> dict[str, Any]:
    """The fields that were sent."""
    values = {field.name: getattr(given, field.name) for field in dataclasses.fields(given)}
    return {name: value for name, value in values.items() if value is not strawberry.UNSET}


def _camel(name: str) -> str:
    return re.sub(r"_([a-z])", lambda found: found[1].upper(), name)
