"""An operation that came over HTTP, as the GraphQL-over-HTTP specification has it.

What does not run is 4xx, or 200 for clients that accept only `application/json`, who could not tell our errors
from a proxy's; what runs is 200, with its errors beside its data.
"""

from typing import Any

from fastapi import Request
from graphql import OperationType
from starlette.responses import Response

from cluster.errors import BadRequest, HeliostatError, MethodNotAllowed
from deployments.gateway import lifetimes
from deployments.gateway.graphql import envelope
from deployments.gateway.graphql.asking import Asking
from deployments.gateway.graphql.desks import Desks
from deployments.gateway.graphql.operation import Operation, Refused, prepared
from deployments.gateway.graphql.wire import OperationRequest

JSON = "application/json"
NOT_KEPT = {"cache-control": "no-store"}


async def answered(request: Request, desks: Desks, wanted: OperationRequest) -> Response:
    """The answer to an operation. Raises MethodNotAllowed for a GET that would change something."""
    request_id = request.state.request_id
    try:
        operation = await prepared(wanted, desks.settings.graphql, request_id)
        _check_method(operation, request)
    except MethodNotAllowed:
        raise
    except (Refused, HeliostatError) as error:
        errors = error.errors if isinstance(error, Refused) else [envelope.of(error, request_id)]
        return _response(request, {"errors": errors})
    asked = Asking(desks=desks, connection=request, request_id=request_id)
    work = operation.answer(asked)
    # A message's answer has its own time limit, and this one is longer.
    limit_s = desks.conversations.wait_s
    return _response(request, await lifetimes.while_connected(request, work, timeout_s=limit_s))


def _check_method(operation: Operation, request: Request) -> None:
    if operation.kind is OperationType.SUBSCRIPTION:
        raise BadRequest(
            "A subscription needs a WebSocket", hint="connect with the subprotocol graphql-transport-ws"
        )
    if operation.kind is not OperationType.QUERY and request.method != "POST":
        raise MethodNotAllowed("A GET may only query", hint="POST the mutation")


def _response(request: Request, shown: dict[str, Any]) -> Response:
    kind = _accepted(request.headers.get("accept", ""))
    status = 200 if "data" in shown or kind == JSON else 400
    return Response(envelope.dumped(shown), status_code=status, headers=NOT_KEPT, media_type=kind)


def _accepted(accept: str) -> str:
    """The media type of the answer: GraphQL's own, unless the client takes only plain JSON."""
    kinds = {part.partition(";")[0].strip().lower() for part in accept.split(",")}
    own = kinds & {envelope.MEDIA_TYPE, "*/*", ""}
    return JSON if JSON in kinds and not own else envelope.MEDIA_TYPE
