"""`/graphql`: POST for all, GET for queries alone, and a WebSocket.

The schema's library takes half a second to load: nobody waits for it who asks for nothing here. A gateway of a
cluster loads it before its first request (`warm`).
"""

from fastapi import APIRouter, Request, WebSocket
from starlette.responses import Response

from cluster.errors import BadRequest, UnsupportedMediaType
from deployments.gateway.bodies import json_body
from deployments.gateway.graphql import envelope
from deployments.gateway.graphql.desks import Desks
from deployments.gateway.graphql.wire import OperationRequest, of_query_string
from deployments.gateway.parsing import parse, parsed

JSON = "application/json"
WATCH_S = 2.5  # between two looks at a socket's credentials, as at those of a stream


def router(desks: Desks, *, watch_s: float = WATCH_S) -> APIRouter:
    """The route. watch_s: how often the credentials of a socket are looked at."""
    routes = APIRouter(tags=["GraphQL"])

    @routes.post(envelope.PATH, summary="A GraphQL query or mutation", openapi_extra=json_body(OperationRequest))
    async def post(request: Request) -> Response:
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind != JSON:
            raise UnsupportedMediaType(f"The body must be {JSON}, not {kind[:64] or 'of no type'!r}")
        body = await request.body()
        if body.lstrip()[:1] == b"[":
            raise BadRequest("One operation a request", hint="an operation may ask for several fields")
        wanted = parse(OperationRequest, body)
        from deployments.gateway.graphql.http import answered

        return await answered(request, desks, wanted)

    @routes.get(envelope.PATH, summary="A GraphQL query, in the parameters query, operationName and variables")
    async def get(request: Request) -> Response:
        wanted = parsed(OperationRequest, of_query_string(dict(request.query_params)))
        from deployments.gateway.graphql.http import answered

        return await answered(request, desks, wanted)

    @routes.websocket(envelope.PATH)
    async def follow(websocket: WebSocket) -> None:
        from deployments.gateway.graphql.socket import Socket

        await Socket(desks, websocket, watch_s=watch_s).serve()

    return routes


def warm() -> None:
    """Load what answers, before somebody waits for it."""
    from deployments.gateway.graphql import http, schema, socket  # noqa: F401 - what a request would import

    schema.executable()
