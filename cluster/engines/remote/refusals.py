"""What a provider's refusals mean to our clients: one file maps them.

A client is told what is wrong with its request. What is wrong between us and the provider, such as a key, is said
as the cluster's own failure: a 401 would make the client look at its own key.
"""

import json
import logging
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from cluster.engines.remote.connection import ERROR_BYTES, Connection, Reply
from cluster.errors import (
    BadRequest,
    ContextTooLong,
    HeliostatError,
    Overloaded,
    ProviderAway,
    ProviderFailure,
    ProviderRefused,
    UnsupportedParameter,
)

logger = logging.getLogger(__name__)

JSON_TYPES = ("application/json", "text/json")
SHOWN = 500  # characters of a provider's words
RETRY_AFTER_S = 1.0  # where it does not say
RETRY_AFTER_MAX_S = 3600.0  # an hour is as good as never
BROKE = frozenset({"insufficient_quota", "billing_hard_limit_reached", "billing_not_active"})
UNSUPPORTED = frozenset({"unsupported_parameter", "unsupported_value", "unknown_parameter"})
NOT_HERE = frozenset({"model_not_found", "model_not_available"})
CONTEXT_CODES = frozenset({"context_length_exceeded", "exceed_context_size_error"})
CONTEXT_WORDS = re.compile(
    r"maximum context length|maximum model length|context length exceeded"
    r"|exceeds? the (available |model'?s? )?context"
    r"|exceeds? the maximum number of tokens|prompt is too long|input is too long|max_model_len|context window",
    re.IGNORECASE,
)
DURATION = re.compile(r"(\d{1,9}(?:\.\d{1,6})?)(ms|s)?")


def seconds(text: str | None, now: datetime | None = None) -> float | None:
    """A `Retry-After` as seconds from now, between 0 and an hour: a number, or a date. None for anything else."""
    if not text:
        return None
    found = DURATION.fullmatch(text.strip())
    if found:
        wait = float(found[1]) / (1000 if found[2] == "ms" else 1)
    else:
        try:
            wait = (parsedate_to_datetime(text) - (now or datetime.now(UTC))).total_seconds()
        except (ValueError, TypeError):
            return None
    return min(max(wait, 0.0), RETRY_AFTER_MAX_S)


def wait_of(reply: Reply) -> float | None:
    """How long a provider says to wait, in seconds."""
    milliseconds = reply.header("retry-after-ms")
    return seconds(f"{milliseconds}ms") if milliseconds else seconds(reply.header("retry-after"))


async def raise_for(reply: Reply, connection: Connection) -> None:
    """Raise for an answer that is none, in OpenAI's or Ollama's envelope; do nothing for one that is."""
    if 200 <= reply.status < 300:
        return
    name = connection.name
    if reply.status < 400:
        raise ProviderFailure(f"{name} redirects, which is not followed", hint="configure the address it leads to")
    try:
        data = await reply.whole(ERROR_BYTES)
    except ProviderFailure:
        data = b""  # the status says enough
    said = _said(data, connection)
    error = error_of(reply.status, said, name=name, wait_s=wait_of(reply))
    if not isinstance(error, BadRequest | Overloaded):  # whoever runs this cluster wants the provider's own words
        logger.warning(
            "%s answered with status %d: %s", name, reply.status, said.get("message", "nothing readable")
        )
    raise error


async def accepted(reply: Reply, connection: Connection, types: Sequence[str]) -> None:
    """Raise as `raise_for`, and ProviderFailure for an answer that is of none of these types."""
    await raise_for(reply, connection)
    if reply.media_type not in types:
        said = reply.media_type[:60] or "nothing"
        raise ProviderFailure(f"{connection.name} answered with {said}, not with {types[0]}")


def error_of(status: int, said: Mapping[str, Any], *, name: str, wait_s: float | None = None) -> HeliostatError:
    """One refusal as ours. said: `message`, `code` and `param` of it, where it has them. name: of the provider."""
    code, words = str(said.get("code") or said.get("type") or ""), str(said.get("message") or f"status {status}")
    told = f"{name}: {words}"
    if status in (401, 403):
        return ProviderRefused(f"{name} refused our key", hint="whoever runs this cluster can change it")
    if status == 402 or code in BROKE:
        return ProviderRefused(f"{name} wants to be paid first", hint="whoever runs this cluster has an account")
    if status == 429:
        return Overloaded(
            f"{name} takes no more requests now", hint="try later", retry_after_s=_either(wait_s, RETRY_AFTER_S)
        )
    if code in CONTEXT_CODES or CONTEXT_WORDS.search(words):
        return ContextTooLong(told, hint="shorten the messages or lower max_tokens", param="messages")
    if status == 404 or code in NOT_HERE or said.get("param") == "model":
        return ProviderRefused(f"{name} does not have the model that is configured", hint="see the server's log")
    if status in (503, 529):
        return ProviderAway(f"{name} cannot answer now", retry_after_s=_either(wait_s, RETRY_AFTER_S))
    if status >= 500 or status == 408:
        return ProviderFailure(f"{name} failed with status {status}")
    param = said.get("param")
    kind = UnsupportedParameter if code in UNSUPPORTED else BadRequest
    return kind(told, param=param if isinstance(param, str) else None)


def of_event(error: Any, connection: Connection) -> HeliostatError:
    """An error that a provider sent in the middle of a stream."""
    said = _fields(error, connection)
    status = said.get("status")
    if not isinstance(status, int) or not 400 <= status < 600:
        status = 429 if said.get("code") == "rate_limit_exceeded" else 502
    if status == 502:
        return ProviderFailure(f"{connection.name} failed in the middle of its answer: {said['message']}")
    return error_of(status, said, name=connection.name)


def _said(data: bytes, connection: Connection) -> dict[str, Any]:
    try:
        found = json.loads(data)
    except (ValueError, RecursionError):
        return {}
    if isinstance(found, list) and found:  # as Google's compatible endpoint wraps it
        found = found[0]
    if not isinstance(found, dict):
        return {}
    return _fields(found["error"] if found.get("error") else found, connection)


def _fields(error: Any, connection: Connection) -> dict[str, Any]:
    """OpenAI's error object, or Ollama's text, which may hold JSON of the server behind it."""
    if isinstance(error, str):
        try:
            inner = json.loads(error)
        except (ValueError, RecursionError):
            inner = None
        if isinstance(inner, dict) and isinstance(inner.get("error"), dict):
            return _fields(inner["error"], connection)
        return {"message": _clean(error, connection)}
    if not isinstance(error, Mapping):
        return {"message": "an error without words"}
    code = error.get("code")
    said: dict[str, Any] = {"message": _clean(str(error.get("message") or "an error without words"), connection)}
    said["param"] = error.get("param")
    said["type"] = error.get("type")
    if isinstance(code, str):
        said["code"] = code
    return {**said, "status": code if isinstance(code, int) else error.get("status")}


def _clean(text: str, connection: Connection) -> str:
    """A provider's words in one line, without our key."""
    return connection.hide(" ".join(text.split()))[:SHOWN]


def _either(wait_s: float | None, otherwise: float) -> float:
    return otherwise if wait_s is None else wait_s
