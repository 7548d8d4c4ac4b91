"""What makes two requests the same, and which of them have one answer.

A key is a SHA-256 over the owner, the model, its revision, how it is configured, and the request. The owner is
the first part, so nobody is ever answered with what another asked.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any

from pydantic_core import from_json

from deployments.gateway.wire import ChatRequest, UserMessage

FORMAT = 2  # of keys and stored values: raise it when either changes, and nothing old is found
IRRELEVANT = frozenset(
    {
        # How it is sent, not what is said
        "stream",
        "stream_options",
        # Labels of the client's own; the owner is part of the key anyway
        "user",
        "metadata",
        "prompt_cache_key",
        "safety_identifier",
        # Only taken where they say what is done anyway (wire.py)
        "store",
        "service_tier",
        "modalities",
    }
)
"""Fields that change nothing in what is said. Whatever is not listed makes another request."""

NUMBER = re.compile(r"\d+")


def deterministic(wanted: ChatRequest) -> bool:
    """Whether a model that is asked twice says the same: it does not sample, or it samples with a seed."""
    return wanted.temperature == 0 or wanted.seed is not None


def chat_key(body: bytes, *, owner: str, model: str, revision: str, configured: str) -> str:
    """The key of a chat completion. body: its JSON object, checked. configured: the model's settings, as text."""
    return _digest("chat", owner, model, revision, configured, _relevant(body))


def question_of(wanted: ChatRequest) -> str | None:
    """The text of the last message, where it is the user's; None where it is not, or a picture is shown."""
    last = wanted.messages[-1]
    if not isinstance(last, UserMessage) or wanted.has_images:
        return None
    if isinstance(last.content, str):
        return last.content
    # Of several parts nobody knows here how the model's template joins them.
    return getattr(last.content[0], "text", None) if len(last.content) == 1 else None


def bucket_key(body: bytes, *, owner: str, model: str, revision: str, configured: str, space: str) -> str:
    """What two requests with a `question_of` must share, for one's answer to be the other's: all but its words.

    The numbers in it count: vectors of texts that differ in a number alone are nearly the same. space: what the
    vectors are of.
    """
    asked = _relevant(body)
    *before, last = asked.pop("messages")
    content = last["content"]
    question = content if isinstance(content, str) else content[0]["text"]
    form = None if isinstance(content, str) else [{**content[0], "text": None}]
    asked["messages"] = [*before, {**last, "content": form}]
    return _digest("question", owner, model, revision, configured, space, NUMBER.findall(question), asked)


def embedding_key(text: str | tuple[int, ...], *, owner: str, model: str, revision: str, configured: str) -> str:
    """The key of one input of an embedding request."""
    return _digest("embedding", owner, model, revision, configured, text)


def _relevant(body: bytes) -> dict[str, Any]:
    request: Mapping[str, Any] = from_json(body)
    # A field that is null says what a field that is absent says.
    return {name: value for name, value in request.items() if name not in IRRELEVANT and value is not None}


def _digest(*parts: Any) -> str:
    # JSON keeps the parts apart, and 1 from "1": no two lists of parts are written alike.
    written = json.dumps([FORMAT, *parts], sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(written.encode()).hexdigest()
