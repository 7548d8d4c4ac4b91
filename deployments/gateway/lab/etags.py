"""ETags: an answer that the client has already is not sent again, and a change of what it has not seen is refused.

The tag of one experiment is its id and the count of its changes, so that `If-Match` can be checked by the very
statement that changes it. The tag of what is read of a run's rows says which rows they are and what was asked of
them, so that an answer that the client has is known before anything of it is made. The tag of anything else is a
hash of the answer.
"""

import asyncio
import json
from collections.abc import Callable
from functools import cache
from hashlib import blake2b
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from cluster.errors import PreconditionFailed

CACHED = "private, no-cache"  # as `cache-control`: kept, and asked about each time


def answer(
    request: Request,
    content: Any,
    *,
    tag: str | None = None,
    status: int = 200,
    headers: dict[str, str] | None = None,
) -> Response:
    """The JSON of an answer with its ETag; 304 without a body where the client says that it has it."""
    body = json.dumps(content, ensure_ascii=False, allow_nan=False).encode(errors="replace")
    tag = tag or f'"{blake2b(body, digest_size=12).hexdigest()}"'
    found = {"etag": tag, "cache-control": CACHED, **(headers or {})}
    if has(request, tag):
        return Response(status_code=304, headers=found)
    return Response(body, status_code=status, headers=found, media_type="application/json")


async def told(
    request: Request,
    make: Callable[[], Any],
    *,
    tag: str | None = None,
    status: int = 200,
    headers: dict[str, str] | None = None,
) -> Response:
    """The same of what is made in a thread: other requests go on while megabytes become JSON."""
    return await asyncio.to_thread(lambda: answer(request, make(), tag=tag, status=status, headers=headers))


def has(request: Request, tag: str) -> bool:
    """Whether the client says that it has it, and only wants another one."""
    return request.method in ("GET", "HEAD") and _names(_header(request, "if-none-match"), tag, weakly=True)


def unchanged(tag: str) -> Response:
    """304, of which nothing was made."""
    return Response(status_code=304, headers={"etag": tag, "cache-control": CACHED})


def tag_of_rows(state: str, *asked: object) -> str:
    """The tag of what was made of rows. state: of the rows. Another version of us may make another thing."""
    return f'"{blake2b(repr((_release(), state, asked)).encode(), digest_size=12).hexdigest()}"'


def tag_of(kind: str, identity: int, number: int) -> str:
    """The tag of one experiment. number: the count of its changes."""
    return f'"{kind}{identity}.{number}"'


def check(request: Request, tag: str) -> bool:
    """Whether the client insists on what it has seen. Raises PreconditionFailed where that is not the tag's."""
    header = _header(request, "if-match")
    if header is None or header.strip() == "*":
        return False
    if not _names(header, tag, weakly=False):
        raise changed()
    return True


def changed() -> PreconditionFailed:
    """The error for a change that was meant for an earlier state."""
    return PreconditionFailed("It has changed since you read it", hint="GET it again, and send its ETag")


@cache
def _release() -> str:
    try:
        return version("heliostat-serve")
    except PackageNotFoundError:  # a bare checkout, run without installing it
        return "0"


def _header(request: Request, name: str) -> str | None:
    """A list that may have come in several lines, which are one list together."""
    lines = request.headers.getlist(name)
    return ", ".join(lines) if lines else None


def _names(header: str | None, tag: str, *, weakly: bool) -> bool:
    if header is None:
        return False
    if header.strip() == "*":
        return True
    named = (part.strip() for part in header.split(","))
    return any((part.removeprefix("W/") if weakly else part) == tag for part in named)
