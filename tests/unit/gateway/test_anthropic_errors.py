"""Our errors in Anthropic's envelope."""

import json

import anthropic
import httpx2
import pytest
from anthropic.types.shared import ErrorResponse

from cluster.errors import (
    BadRequest,
    Conflict,
    ContextTooLong,
    EngineDead,
    EngineFailure,
    GenerationTimeout,
    HeliostatError,
    InvalidApiKey,
    ModelNotFound,
    Overloaded,
    PayloadTooLarge,
    PermissionDenied,
)
from deployments.gateway.anthropic.errors import event, is_anthropic
from deployments.gateway.errors import respond

KINDS: list[tuple[type[HeliostatError], int, str, type[anthropic.APIStatusError]]] = [
    (BadRequest, 400, "invalid_request_error", anthropic.BadRequestError),
    (ContextTooLong, 400, "invalid_request_error", anthropic.BadRequestError),
    (InvalidApiKey, 401, "authentication_error", anthropic.AuthenticationError),
    (PermissionDenied, 403, "permission_error", anthropic.PermissionDeniedError),
    (ModelNotFound, 404, "not_found_error", anthropic.NotFoundError),
    (Conflict, 409, "invalid_request_error", anthropic.ConflictError),
    (PayloadTooLarge, 413, "request_too_large", anthropic.APIStatusError),
    (Overloaded, 429, "rate_limit_error", anthropic.RateLimitError),
    (EngineFailure, 500, "api_error", anthropic.InternalServerError),
    (EngineDead, 529, "overloaded_error", anthropic.InternalServerError),
    (GenerationTimeout, 504, "timeout_error", anthropic.InternalServerError),
]


@pytest.mark.parametrize(("kind", "status", "name", "raised"), KINDS)
def test_each_error_is_the_clients_own_kind(
    kind: type[HeliostatError], status: int, name: str, raised: type[anthropic.APIStatusError]
) -> None:
    answer = respond(kind("no", hint="do so", param="top_k"), "/v1/messages", "r-1")
    content = json.loads(answer.body)
    assert content["error"] == {"type": name, "message": "top_k: no. Do so."}
    assert content["request_id"] == answer.headers["request-id"] == "r-1"

    def served(request: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(answer.status_code, content=answer.body, headers=dict(answer.headers))

    http = httpx2.Client(transport=httpx2.MockTransport(served))
    client = anthropic.Anthropic(base_url="http://gateway", api_key="k", max_retries=0, http_client=http)
    with http, pytest.raises(raised) as caught:
        client.messages.create(model="m", max_tokens=1, messages=[{"role": "user", "content": "x"}])
    assert (caught.value.status_code, caught.value.request_id) == (status, "r-1")


def test_a_retry_is_advised_or_not() -> None:
    assert respond(Overloaded("full", retry_after_s=1.5), "/v1/messages").headers["retry-after"] == "2"
    assert respond(Conflict("no"), "/v1/messages").headers["x-should-retry"] == "false"


def test_an_error_event_has_its_name() -> None:
    name, _, data = event(EngineFailure("no"), None).decode().partition("\ndata: ")
    assert name == "event: error"
    assert ErrorResponse.model_validate_json(data).request_id is None


def test_only_its_own_paths_are_anthropics() -> None:
    assert is_anthropic("/v1/messages")
    assert is_anthropic("/v1/messages/count_tokens")
    assert not is_anthropic("/v1/messages_")
    assert not is_anthropic("/v1/chat/completions")
