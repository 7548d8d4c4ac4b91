"""The routes of OpenAI's Responses API."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Query, Request
from starlette.responses import Response

from cluster.errors import UnsupportedParameter
from deployments.gateway.bodies import json_body
from deployments.gateway.openai.responses.desk import Desk
from deployments.gateway.openai.responses.wire import ResponseRequest

ResponseId = Annotated[str, Path(alias="id", max_length=128, description="As `POST /v1/responses` gave it.")]
Limit = Annotated[int, Query(ge=1, le=100)]
Order = Annotated[Literal["asc", "desc"], Query()]
After = Annotated[str | None, Query(max_length=128, description="The item before the page.")]


def router(desk: Desk) -> APIRouter:
    """The routes under `/v1/responses`."""
    routes = APIRouter(prefix="/v1/responses", tags=["OpenAI"])

    @routes.post(
        "", summary="A response, whole, streamed or in the background", openapi_extra=json_body(ResponseRequest)
    )
    async def create_response(request: Request) -> Response:
        return await desk.create(request)

    @routes.get("/{id}", summary="A stored response")
    async def show_response(request: Request, response_id: ResponseId) -> Response:
        _refuse_options(request)
        return await desk.show(request, response_id)

    @routes.delete("/{id}", summary="Forget a response")
    async def delete_response(request: Request, response_id: ResponseId) -> Response:
        return await desk.remove(request, response_id)

    @routes.post("/{id}/cancel", summary="Stop a background response")
    async def cancel_response(request: Request, response_id: ResponseId) -> Response:
        return await desk.cancel(request, response_id)

    @routes.get("/{id}/input_items", summary="The items of a response's request, the last first")
    async def list_input_items(
        request: Request,
        response_id: ResponseId,
        limit: Limit = 20,
        order: Order = "desc",
        after: After = None,
    ) -> dict[str, Any]:
        _refuse_options(request, "limit", "order", "after")
        return await desk.items(request, response_id, limit=limit, order=order, after=after)

    return routes


def _refuse_options(request: Request, *honoured: str) -> None:
    """Raise UnsupportedParameter for OpenAI's options of a read that are not honoured: `stream`, `include`."""
    for name, value in request.query_params.multi_items():
        if name not in honoured and (name, value) != ("stream", "false"):
            hint = "leave it out"
            raise UnsupportedParameter(f"{name[:64]} is not honoured here", hint=hint, param=name[:64])
