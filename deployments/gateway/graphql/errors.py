"""From graphql-core's errors to what a client sees: every one has a code of ours."""

from typing import Any

from graphql import GraphQLError

from cluster.errors import HeliostatError, InvalidQuery
from deployments.gateway.errors import internal
from deployments.gateway.graphql.envelope import SHOWN, extensions


def formatted(error: GraphQLError, request_id: str | None) -> dict[str, Any]:
    """An error as the client sees it."""
    shown: dict[str, Any] = {"message": error.message[:SHOWN]}
    if error.locations:
        shown["locations"] = [{"line": place.line, "column": place.column} for place in error.locations]
    if error.path:
        shown["path"] = list(error.path)
    cause = _cause(error)
    if isinstance(cause, GraphQLError) and cause.extensions:  # said by a subscription: the error of a stored answer
        return {**shown, "extensions": {**cause.extensions, "requestId": request_id}}
    problem = _problem(error, cause)
    shown["message"] = problem.message[:SHOWN]
    return {**shown, "extensions": extensions(problem, request_id)}


def _cause(error: GraphQLError) -> BaseException:
    """What was raised at first."""
    cause: BaseException = error
    while isinstance(cause, GraphQLError) and cause.original_error is not None:
        cause = cause.original_error
    return cause


def _problem(error: GraphQLError, cause: BaseException) -> HeliostatError:
    if isinstance(cause, HeliostatError):
        return cause
    # What has no path is of the document or its variables; a resolver's own mistakes have one.
    if isinstance(cause, GraphQLError) or not error.path:
        return InvalidQuery(error.message)
    return internal(cause if isinstance(cause, Exception) else error)
