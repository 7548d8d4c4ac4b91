"""How errors leave the house: one file maps them to HTTP.

Under `/v1` the body is OpenAI's, `{"error": {"message", "type", "param", "code"}}`, but under `/v1/messages`
Anthropic's (anthropic/errors.py), on Ollama's paths Ollama's (ollama/errors.py), and at `/graphql` GraphQL's
(graphql/envelope.py); elsewhere it is `{"error": {"code", "message", "hint"}}`. OpenAI's and Anthropic's clients
retry 408, 409, 429 and 5xx by themselves, so `x-should-retry: false` goes with those that a retry cannot help.
"""

import json
import logging
import math
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from cluster.errors import BadRequest, HeliostatError, MethodNotAllowed, NotFound
from deployments.gateway.anthropic import errors as anthropic
from deployments.gateway.graphql import envelope as graphql
from deployments.gateway.ollama import errors as ollama
from deployments.gateway.parsing import path_of

logger = logging.getLogger(__name__)

TYPES = {401: "authentication_error", 403: "permission_error", 429: "rate_limit_error"}
RETRIED_STATUSES = frozenset({408, 409, 429})
ROOT_PATHS = frozenset({"/tokenize", "/detokenize", "/score", "/rerank"})  # of the same surface, as at vLLM
LEGACY = "x-heliostat-legacy-code"
SHOWN_PATH = 200  # characters of a path that an error repeats


def install(app: FastAPI) -> None:
    """Register the handlers: ours, FastAPI's own validation, unknown paths, and what nobody foresaw."""
    app.add_exception_handler(HeliostatError, _ours)
    app.add_exception_handler(RequestValidationError, _validation)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(Exception, _unforeseen)


def body(error: HeliostatError, *, openai: bool) -> bytes:
    """The error's JSON body, in OpenAI's shape or in ours."""
    content: dict[str, Any]
    if openai:
        message = f"{error.message}. {error.hint[:1].upper()}{error.hint[1:]}." if error.hint else error.message
        kind = TYPES.get(error.status, "invalid_request_error" if error.status < 500 else "server_error")
        content = {"message": message, "type": kind, "param": error.param, "code": error.code}
    else:
        content = own(error)
    # A lone surrogate, as a form in an odd charset can name one, has no bytes in UTF-8.
    return json.dumps({"error": content}, ensure_ascii=False).encode(errors="replace")


def own(error: HeliostatError) -> dict[str, Any]:
    """The error in our shape, as a JSON object."""
    content: dict[str, Any] = {"code": error.code, "message": error.message, "hint": error.hint}
    if error.param:
        content["param"] = error.param
    if error.legacy:
        content["legacy_code"] = error.legacy
    return content


def respond(error: HeliostatError, path: str, request_id: str | None = None) -> Response:
    """The error as a response to a request on `path`. request_id: for the envelopes that carry it."""
    headers = {}
    if error.retry_after_s is not None:
        headers["retry-after"] = str(math.ceil(error.retry_after_s))
        headers["retry-after-ms"] = str(math.ceil(error.retry_after_s * 1000))
    if not error.retryable and (error.status >= 500 or error.status in RETRIED_STATUSES):
        headers["x-should-retry"] = "false"
    if error.legacy:
        headers[LEGACY] = error.legacy
    if error.status == 401:
        headers["www-authenticate"] = "Bearer"
    media_type = "application/json"
    if graphql.is_graphql(path):
        content, status = graphql.failure([graphql.of(error, request_id)]), error.status
        media_type = graphql.MEDIA_TYPE
    elif ollama.is_ollama(path):
        content, status = ollama.body(error), error.status
    elif anthropic.is_anthropic(path):
        content, status = anthropic.body(error, request_id), anthropic.status(error)
        headers |= {"request-id": request_id} if request_id else {}
    else:
        content, status = body(error, openai=is_openai(path)), error.status
    return Response(content, status_code=status, headers=headers, media_type=media_type)


def stream_event(error: HeliostatError) -> bytes:
    """The error as the last event of a stream that had already begun."""
    return b"data: " + body(error, openai=True) + b"\n\n"


def is_openai(path: str) -> bool:
    """Whether a path belongs to the OpenAI-compatible surface."""
    return path == "/v1" or path.startswith("/v1/") or path in ROOT_PATHS


def internal(error: Exception) -> HeliostatError:
    """An error that nobody foresaw: logged whole, told without its insides."""
    logger.error("unforeseen error", exc_info=error)
    return HeliostatError("Something failed inside the server", hint="the server's log has the details")


async def _ours(request: Request, error: Exception) -> Response:
    assert isinstance(error, HeliostatError)
    return _answer(request, error)


async def _validation(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    place = first["loc"][0] if first["loc"] else "body"
    param = path_of(tuple(first["loc"][1:])) or str(place)
    if first["type"] == "json_invalid":
        problem = BadRequest("The body is not valid JSON", hint="send one JSON object")
    elif first["type"] == "extra_forbidden":
        problem = BadRequest(f"Unknown parameter: {param}", param=param, hint="remove it; it would be ignored")
    elif first["type"] == "missing":
        problem = BadRequest(f"Missing required parameter: {param}", param=param)
    else:
        message = first["msg"].removeprefix("Value error, ")
        problem = BadRequest(f"Invalid value for {param}: {message}", param=param)
    return _answer(request, problem)


async def _http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    path = request.url.path
    if error.status_code == 404:
        return _answer(request, NotFound(f"No such path: {path[:SHOWN_PATH]}", hint="GET /docs lists them all"))
    if error.status_code == 405:
        response = _answer(request, MethodNotAllowed(f"{request.method} is not allowed on {path[:SHOWN_PATH]}"))
        response.headers.update(error.headers or {})
        return response
    return _answer(request, BadRequest(str(error.detail)))


async def _unforeseen(request: Request, error: Exception) -> Response:
    return _answer(request, internal(error))


def _answer(request: Request, error: HeliostatError) -> Response:
    request.state.error = error  # for whoever has to say it in another way, the status being sent
    return respond(error, request.url.path, getattr(request.state, "request_id", None))
