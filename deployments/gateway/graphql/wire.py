"""What `/graphql` accepts, over HTTP and in a WebSocket's `subscribe`."""

from typing import Any

from pydantic import Field, field_validator
from pydantic_core import from_json

from cluster.errors import BadRequest
from deployments.gateway.wire import Wire

INFORMS = frozenset({"clientLibrary"})
"""Extensions that ask for nothing: Apollo's clients say by this who they are."""


class OperationRequest(Wire):
    """An operation, as GraphQL over HTTP has it. operationName: where the document has several."""

    query: str = Field(min_length=1)
    operationName: str | None = Field(None, max_length=256)  # noqa: N815 - the API's
    variables: dict[str, Any] | None = None
    extensions: dict[str, Any] | None = None

    @field_validator("extensions")
    @classmethod
    def _honoured(cls, given: dict[str, Any] | None) -> dict[str, Any] | None:
        unknown = sorted(set(given or ()) - INFORMS)
        if unknown:
            raise ValueError(f"{unknown[0][:64]!r} is not honoured: send the whole query, without extensions")
        return given


def of_query_string(parameters: dict[str, str]) -> dict[str, Any]:
    """What a GET says, as a body would. Raises BadRequest."""
    said: dict[str, Any] = dict(parameters)
    for name in ("variables", "extensions"):
        if name in said:
            try:
                said[name] = from_json(said[name], allow_inf_nan=False)
            except ValueError as error:
                raise BadRequest(f"{name} is not valid JSON: {error}", param=name) from None
    return said
