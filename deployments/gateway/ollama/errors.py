"""Errors in Ollama's shape, `{"error": "…"}`: as a body, and as a line of a stream that had already begun."""

import json

from cluster.errors import HeliostatError

PATHS = frozenset(
    f"/api/{name}"
    for name in (
        *("version", "tags", "ps", "show", "chat", "generate", "embed", "embeddings", "pull", "delete"),
        *("push", "create", "copy"),  # Ollama's, and not here: its clients read the refusal in its shape, too
    )
)


def is_ollama(path: str) -> bool:
    """Whether a path belongs to the Ollama-compatible surface."""
    return path in PATHS


def body(error: HeliostatError) -> bytes:
    """The error's JSON body. The shape has no field for the parameter: the message begins with it."""
    message = f"{error.message}. {error.hint[:1].upper()}{error.hint[1:]}." if error.hint else error.message
    if error.param and error.param not in message:
        message = f"{error.param}: {message}"
    return json.dumps({"error": message}, ensure_ascii=False).encode(errors="replace")


def line(error: HeliostatError) -> bytes:
    """The error as the last line of a stream."""
    return body(error) + b"\n"
