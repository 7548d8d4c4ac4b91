"""What makes two requests the same, and which of them have one answer.

A key is a SHA-256 over the owner, the model, its revision, how it is configured, and the request. The owner is
the first part, so nobody is ever answered with what another asked.
"""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from pydantic_core import from_json

from deployments.gateway.wire import ChatRequest

FORMAT = 1  # of keys and stored values: raise it when either changes, and nothing old is found
IRRELEVANT = frozenset({"stream", "stream_options", "user", "metadata"})  # they change nothing in what is said


def deterministic(wanted: ChatRequest) -> bool:
    """Whether a model that is asked twice says the same: it does not sample, or it samples with a seed."""
    return wanted.temperature == 0 or wanted.seed is not None


def chat_key(body: bytes, *, owner: str, model: str, revision: str, configured: str) -> str:
    """The key of a chat completion. body: its JSON object, checked. configured: the model's settings, as text."""
    request: Mapping[str, Any] = from_json(body)
    # A field that is null says what a field that is absent says.
    asked = {name: value for name, value in request.items() if name not in IRRELEVANT and value is not None}
    return _digest("chat", owner, model, revision, configured, asked)


def embedding_key(text: str | tuple[int, ...], *, owner: str, model: str, revision: str, configured: str) -> str:
    """The key of one input of an embedding request."""
    return _digest("embedding", owner, model, revision, configured, text)


def _digest(*parts: Any) -> str:
    # JSON keeps the parts apart, and 1 from "1": no two lists of parts are written alike.
    written = json.dumps([FORMAT, *parts], sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(written.encode()).hexdigest()
