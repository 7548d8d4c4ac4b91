"""Errors in Anthropic's envelope: `{"type": "error", "error": {"type", "message"}, "request_id"}`.

Its clients know a type by the status. One differs from ours: what nobody can answer just now is 529 there, not 503.
"""

import json
from typing import Any

from cluster.errors import HeliostatError

TYPES = {
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    503: "overloaded_error",
    504: "timeout_error",
}
OVERLOADED = 529


def is_anthropic(path: str) -> bool:
    """Whether a path belongs to the Anthropic-compatible surface."""
    return path == "/v1/messages" or path.startswith("/v1/messages/")


def status(error: HeliostatError) -> int:
    """The HTTP status of an error."""
    return OVERLOADED if error.status == 503 else error.status


def body(error: HeliostatError, request_id: str | None) -> bytes:
    """The error's JSON body. The envelope has no field for the parameter: the message begins with it."""
    return json.dumps(_content(error, request_id), ensure_ascii=False).encode(errors="replace")


def event(error: HeliostatError, request_id: str | None) -> bytes:
    """The error as the last event of a stream that had already begun."""
    return b"event: error\ndata: " + body(error, request_id) + b"\n\n"


def _content(error: HeliostatError, request_id: str | None) -> dict[str, Any]:
    kind = TYPES.get(error.status, "invalid_request_error" if error.status < 500 else "api_error")
    message = f"{error.message}. {error.hint[:1].upper()}{error.hint[1:]}." if error.hint else error.message
    if error.param and error.param not in message:
        message = f"{error.param}: {message}"
    return {"type": "error", "error": {"type": kind, "message": message}, "request_id": request_id}
