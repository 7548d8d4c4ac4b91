"""Errors as a GraphQL response has them: `{"errors": [{"message", "extensions"}]}`.

extensions.code is our stable code, beside hint, param, requestId and, where a retry may help, retryAfter in
seconds; legacyCode is the code that an older API of these services had.
"""

import json
from collections.abc import Iterable
from typing import Any

from cluster.errors import HeliostatError

PATH = "/graphql"
MEDIA_TYPE = "application/graphql-response+json"
SHOWN = 1_000  # characters of a message


def is_graphql(path: str) -> bool:
    """Whether a path answers in GraphQL's shape."""
    return path == PATH


def of(error: HeliostatError, request_id: str | None) -> dict[str, Any]:
    """One of ours."""
    return {"message": error.message[:SHOWN], "extensions": extensions(error, request_id)}


def extensions(error: HeliostatError, request_id: str | None) -> dict[str, Any]:
    """What a program may go by."""
    told: dict[str, Any] = {"code": error.code, "hint": error.hint, "requestId": request_id}
    if error.param:
        told["param"] = error.param
    if error.retry_after_s is not None:
        told["retryAfter"] = error.retry_after_s
    if error.legacy is not None:
        told["legacyCode"] = error.legacy
    return told


def failure(errors: Iterable[dict[str, Any]]) -> bytes:
    """A response that has nothing but errors."""
    return dumped({"errors": list(errors)})


def dumped(value: Any) -> bytes:
    """JSON; a lone surrogate, which has no bytes in UTF-8, becomes a question mark."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode(errors="replace")
